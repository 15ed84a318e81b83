"""The configs that come with maskfold, found by name in a checkout and in an installed package."""

import os
from pathlib import Path

from maskfold.errors import ConfigError, nearest

PACKAGE = Path(__file__).parents[1]


def shipped_configs(below: str = "") -> dict[str, Path]:
    """Name -> file, of the configs or those of a folder ``below`` them.

    A wheel has them inside the package, a checkout beside ``src/``.
    """
    installed = PACKAGE / "configs"
    folder = installed if installed.is_dir() else PACKAGE.parents[1] / "configs"
    return {path.stem: path for path in sorted((folder / below).glob("*.yaml"))}


def find_config(config: Path | str, below: str = "") -> Path:
    """A file as given, or the shipped config of that name (``demo``; hyphens may stand for underscores).

    ``below`` is the folder of others that come with maskfold: ``studies``.

    Raises:
        ConfigError: neither; the names of the shipped configs are listed.
    """
    path, shipped = Path(config), shipped_configs(below)
    if os.path.isfile(path):  # a Path raises an error of its own where a name is too long
        return path
    name = str(config).replace("-", "_")
    if name in shipped:
        return shipped[name]
    hint = nearest(path.stem.replace("-", "_"), list(shipped), otherwise="give the path of a YAML file.")
    what, example = ("study", "weights") if below else ("config", "--config demo")
    if os.path.isdir(path):
        raise ConfigError(f"{path} is a folder, expected a {what} file: name the YAML file in it")
    raise ConfigError(
        f"there is no {what} file {path}: {hint} Those that come with maskfold are given by name, such as "
        f"{example}: {', '.join(shipped)}"
    )
