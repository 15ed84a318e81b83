"""The configs that come with maskfold, found by name in a checkout and in an installed package."""

from pathlib import Path

from maskfold.errors import ConfigError, nearest

PACKAGE = Path(__file__).parents[1]


def shipped_configs() -> dict[str, Path]:
    """Name -> file. A wheel has them inside the package, a checkout beside ``src/``."""
    installed = PACKAGE / "configs"
    folder = installed if installed.is_dir() else PACKAGE.parents[1] / "configs"
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def find_config(config: Path | str) -> Path:
    """A file as given, or the shipped config of that name (``demo``; hyphens may stand for underscores).

    Raises:
        ConfigError: neither; the names of the shipped configs are listed.
    """
    path, shipped = Path(config), shipped_configs()
    if path.is_file():
        return path
    name = str(config).replace("-", "_")
    if name in shipped:
        return shipped[name]
    hint = nearest(path.stem.replace("-", "_"), list(shipped), otherwise="give the path of a YAML file")
    raise ConfigError(
        f"there is no config file {path}: {hint} Those that come with maskfold are given by name, such as "
        f"--config demo: {', '.join(shipped)}"
    )
