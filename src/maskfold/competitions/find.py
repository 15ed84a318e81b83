"""Which competition lies where: recognise folders, and open the one a config asks for."""

from pathlib import Path

from maskfold.competitions.competition import LAYOUTS, Competition
from maskfold.competitions.files import CompetitionFiles
from maskfold.competitions.profile import Profile, load_profile, shipped_profiles
from maskfold.config import CompetitionConfig
from maskfold.errors import CompetitionError

DEMO = "demo"


def find_competitions(data_root: Path) -> list[tuple[Path, str]]:
    """(folder, profile name) of every folder below ``data_root`` that fits a profile that comes with
    maskfold, sorted by folder. The folder ``demo`` is not listed.

    Raises:
        CompetitionError: an archive that cannot be opened.
    """
    profiles = shipped_profiles()
    found = ((folder, _fitting(folder, profiles)) for folder in _folders(data_root))
    return [(folder, name) for folder, name in found if name is not None]


def open_competition(config: CompetitionConfig, *, data_root: Path = Path("data")) -> Competition:
    """Open the competition that ``config`` names; without a root, the one folder below ``data_root`` that fits.

    Raises:
        CompetitionError: no data, several folders that fit, files of the profile missing (and which profile
            would fit), class names that do not fit the profile.
    """
    profile = load_profile(config.profile)
    root = config.root if config.root is not None else _only_folder(profile, Path(data_root))
    if not Path(root).is_dir():
        raise CompetitionError(
            f"competition.root is {root}: there is no such folder; give its folder with --competition.root"
        )
    missing = missing_files(profile, CompetitionFiles(root))
    if missing:
        raise CompetitionError(
            f"{root} does not fit the profile {profile.name}: it lacks {', '.join(missing)}{_advice(root)}"
        )
    return Competition(profile, root, class_names=config.class_names)


def missing_files(profile: Profile, files: CompetitionFiles) -> list[str]:
    """Files and folders (with a trailing /) that the profile needs and a competition's folder lacks."""
    return LAYOUTS[profile.layout].missing(profile, files)


def _folders(data_root: Path) -> list[Path]:
    if not data_root.is_dir():
        return []
    return sorted(path for path in data_root.iterdir() if path.is_dir() and path.name != DEMO)


def _fitting(folder: Path, profiles: tuple[Profile, ...]) -> str | None:
    files = CompetitionFiles(folder)
    return next((profile.name for profile in profiles if not missing_files(profile, files)), None)


def _only_folder(profile: Profile, data_root: Path) -> Path:
    fits = [folder for folder in _folders(data_root) if not missing_files(profile, CompetitionFiles(folder))]
    if len(fits) == 1:
        return fits[0]
    if fits:
        raise CompetitionError(
            f"several folders fit the profile {profile.name}: {', '.join(map(str, fits))}; set "
            "competition.root to one of them"
        )
    others = find_competitions(data_root)
    if others:
        listed = ", ".join(f"{folder} fits {name}" for folder, name in others)
        raise CompetitionError(
            f"no folder below {data_root} fits the profile {profile.name}; {listed}: set competition.profile"
        )
    raise CompetitionError(
        f"there is no competition below {data_root}: put one there as downloaded, set competition.root, or draw "
        "the demo data with python src/make_demo.py"
    )


def _advice(root: Path) -> str:
    fitting = _fitting(Path(root), shipped_profiles())
    return f"; it fits {fitting}: set competition.profile" if fitting else ""
