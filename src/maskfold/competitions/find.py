"""Which competition is where: recognise folders, and open the one a config asks for.

Nothing here opens an image, or reads more of a table than its first line, so a command can tell what is missing before
it imports what reads them.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from maskfold.competitions.files import CompetitionFiles
from maskfold.competitions.headers import other_columns
from maskfold.competitions.patterns import Pattern
from maskfold.competitions.profile import Profile, load_profile, shipped_profiles
from maskfold.config import CompetitionConfig
from maskfold.errors import CompetitionError
from maskfold.program import command_line

if TYPE_CHECKING:
    from maskfold.competitions.competition import Competition

DEMO = "demo"
PSEUDO = "pseudo"  # what pseudo_label.py writes
README = "README.md"


def find_competitions(data_root: Path) -> list[tuple[Path, str]]:
    """(folder, profile name) of every folder below ``data_root`` that fits a profile that comes with maskfold.

    Sorted by folder; the folder ``demo`` is not listed.

    Raises:
        CompetitionError: an archive that cannot be opened.
    """
    found = ((folder, fitting_profile(folder)) for folder in _folders(data_root))
    return [(folder, name) for folder, name in found if name is not None]


def open_competition(
    config: CompetitionConfig, *, data_root: Path = Path("data"), predicting: bool = False
) -> "Competition":
    """Open the competition that ``config`` names; without a root, the one folder below ``data_root`` that fits.

    Args:
        config: names it.
        data_root: where it is looked for.
        predicting: its test images are all that is needed.

    Raises:
        CompetitionError: no data, several folders that fit, files of the profile missing (and which profile
            would fit), class names that do not fit the profile.
    """
    from maskfold.competitions.competition import Competition

    profile, root = locate_competition(config, data_root=data_root, predicting=predicting)
    return Competition(
        profile,
        root,
        class_names=config.class_names,
        max_pixels=config.max_pixels,
        follow_links=config.follow_links,
    )


def locate_competition(
    config: CompetitionConfig, *, data_root: Path = Path("data"), predicting: bool = False
) -> tuple[Profile, Path]:
    """The profile that ``config`` names and the folder (or URL) that fits it, of which only the names are looked at.

    Args as of `open_competition`.

    Raises:
        CompetitionError: as `open_competition`, but for the class names.
    """
    profile = load_profile(config.profile)
    root = Path(config.root) if config.root is not None else _only_folder(profile, Path(data_root))
    files = CompetitionFiles(root)
    if not files.root.is_dir():
        raise CompetitionError(
            f"competition.root is {root}: there is no such folder{_windows_hint(root)}; give its folder with "
            "--competition.root"
        )
    missing = missing_files(profile, files, predicting=predicting)
    if missing:
        fitting = fitting_profile(root)
        fits_another = fitting not in (None, profile.name)
        raise CompetitionError(
            f"{root} does not fit the profile {profile.name}: it lacks {', '.join(missing)}"
            + (f"; it fits {fitting}: set competition.profile" if fits_another else _draft_hint(profile, root))
        )
    return profile, root


def _draft_hint(profile: Profile, root: Path) -> str:
    """What to do where a folder does not fit a profile that comes with maskfold; one's own can be corrected."""
    shipped = {each.name for each in shipped_profiles()}
    return f". If it is another competition: {how_to_describe([root])}" if profile.name in shipped else ""


def how_to_describe(folders: Sequence[Path]) -> str:
    """The command that drafts a profile of the one folder that is meant, or of any of several."""
    folder = str(folders[0]) if len(folders) == 1 else "FOLDER"
    command = command_line("check-data", "--draft", "profile.yaml", "--competition.root", folder)
    return f"{command} drafts a profile of its own, docs/competitions.md says what each profile needs"


def _windows_hint(root: Path) -> str:
    """What to say of a path of Windows on another system, as in a config that came from there."""
    return " (a path of Windows: here folders are separated by /)" if os.name != "nt" and "\\" in str(root) else ""


def fitting_profile(folder: Path) -> str | None:
    """Name of the profile that comes with maskfold and fits a folder, None if none does."""
    files = CompetitionFiles(folder)
    fits = (profile for profile in shipped_profiles() if not missing_files(profile, files))
    return next((profile.name for profile in fits if not other_columns(profile, files)), None)


@dataclass(frozen=True)
class Needs:
    """What a profile asks of a folder: files, and folders (with a trailing /), there or lacking."""

    there: list[str]
    lacking: list[str]


def missing_files(profile: Profile, files: CompetitionFiles, *, predicting: bool = False) -> list[str]:
    """Files and folders (with a trailing /) that the profile needs (to predict) and a competition's folder lacks."""
    if predicting:
        return [name for name in profile.needs_to_predict if not _is_there(name, files)]
    return _needs(profile, files).lacking


def unrecognised(data_root: Path) -> list[str]:
    """A line for everything below ``data_root`` that is not a competition: the nearest profile and what it lacks.

    Hidden files, ``demo``, ``pseudo`` and ``README.md`` are not looked at, and no folder that fits a profile.
    """
    return [describe_stranger(path) for path in _strangers(data_root)]


def strange_folders(data_root: Path) -> list[Path]:
    """The folders that `unrecognised` tells about."""
    return [path for path in _strangers(data_root) if path.is_dir()]


def _strangers(data_root: Path) -> list[Path]:
    entries = sorted(Path(data_root).iterdir()) if Path(data_root).is_dir() else []
    named = [path for path in entries if path.name not in (DEMO, PSEUDO, README) and not path.name.startswith(".")]
    return [path for path in named if not path.is_dir() or fitting_profile(path) is None]


def describe_stranger(path: Path) -> str:
    """``data/x: nearest profile tgs-salt, it lacks train.csv`` for what fits no profile."""
    if not path.is_dir():
        return f"{path} is a file: put a competition's files into a folder of their own, {path.parent}/NAME/"
    files = CompetitionFiles(path)
    profiles = {profile.name: profile for profile in shipped_profiles()}
    needs = {name: _needs(profile, files) for name, profile in profiles.items()}
    others = {name: other_columns(profile, files) for name, profile in profiles.items()}
    name = max(needs, key=lambda name: (len(needs[name].there) - len(others[name]), -len(needs[name].lacking)))
    nearest = needs[name]
    if not nearest.there:
        return f"{path} has nothing of what the {len(needs)} profiles that come with maskfold need"
    lacking = [*nearest.lacking, *others[name]]
    return f"{path} is nearest to the profile {name}: it has {', '.join(nearest.there)}, it lacks {', '.join(lacking)}"


def _lacking(profile: Profile, path: Path) -> str:
    """What a profile misses in a folder; as `describe_stranger` of a file."""
    if not path.is_dir():
        return describe_stranger(path)
    return f"{path} lacks {', '.join(missing_files(profile, CompetitionFiles(path)))}"


def _needs(profile: Profile, files: CompetitionFiles) -> Needs:
    found = {name: _is_there(name, files) for name in (*profile.needs, *profile.signs)}
    return Needs([name for name, there in found.items() if there], [name for name, there in found.items() if not there])


def _is_there(name: str, files: CompetitionFiles) -> bool:
    """Whether there is a file, a folder (with a trailing /), or a file that fits a pattern."""
    if name.endswith("/"):
        return files.has_folder(name[:-1])
    if set(name) & set("{*"):
        return bool(Pattern(name).find(files))
    return files.exists(name)


def _folders(data_root: Path) -> list[Path]:
    if not data_root.is_dir():
        return []
    return sorted(path for path in data_root.iterdir() if path.is_dir() and path.name != DEMO)


def _only_folder(profile: Profile, data_root: Path) -> Path:
    fits = [folder for folder in _folders(data_root) if not missing_files(profile, CompetitionFiles(folder))]
    if len(fits) > 1:
        fits = [folder for folder in fits if not other_columns(profile, CompetitionFiles(folder))] or fits
    if len(fits) == 1:
        return fits[0]
    if fits:
        raise CompetitionError(
            f"several folders fit the profile {profile.name}: {', '.join(map(str, fits))}; set "
            "competition.root to one of them"
        )
    others = [f"{folder} fits {name}: set competition.profile" for folder, name in find_competitions(data_root)]
    strangers = _strangers(data_root)
    if others or strangers:
        listed = "; ".join([*others, *(_lacking(profile, path) for path in strangers)])
        draft = f". {how_to_describe(strange_folders(data_root))}" if strangers else ""
        raise CompetitionError(f"no folder below {data_root} fits the profile {profile.name}: {listed}{draft}")
    raise CompetitionError(
        f"there is no competition below {data_root}: put one there as downloaded, set competition.root, or draw "
        f"the demo data with {command_line('make-demo')}"
    )
