"""What a command works on where nothing was said: the one competition under ``data/``, the one run under ``runs/``."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from maskfold.competitions.find import (
    describe_stranger,
    find_competitions,
    fitting_profile,
    how_to_describe,
    strange_folders,
    unrecognised,
)
from maskfold.config import Config, load_config, override, shipped_configs
from maskfold.errors import CompetitionError, RunError
from maskfold.steps.competition import ROOT
from maskfold.steps.places import DATA, DEMO, RUNS, all_runs
from maskfold.storage import url_of

PROFILE = "competition.profile"


def default_config(overrides: Mapping[str, Any] | None = None, *, name: str | None = None) -> Config:
    """The config of the competition that the overrides name, else of the one under ``data/``, else the demo's.

    Raises:
        CompetitionError: several competitions were found, or files that fit no profile.
        ConfigError: overrides that do not fit.
    """
    overrides = overrides or {}
    if PROFILE in overrides:
        return _config_of(overrides[PROFILE], overrides, name)
    if ROOT in overrides:
        return _config_of_folder(Path(overrides[ROOT]), overrides, name)
    found = find_competitions(DATA)
    if len(found) > 1:
        listed = ", ".join(f"{folder} ({profile})" for folder, profile in found)
        raise CompetitionError(
            f"several competitions are under {DATA}: {listed}; choose one with --config FILE, and set competition.root "
            "if two share a profile"
        )
    if found:
        folder, profile = found[0]
        left = "".join(f"; {path} fits no profile" for path in strange_folders(DATA))
        print(f"{_recognised(folder, profile)}{left}")
        return _config_of(profile, overrides, name)
    if strangers := unrecognised(DATA):
        raise CompetitionError(
            f"nothing under {DATA}/ fits a profile that comes with maskfold: {'; '.join(strangers)}. "
            f"{how_to_describe(strange_folders(DATA))}; for the demo give --config demo"
        )
    print(f"{DATA}/ holds no competition: this is the demo ({DEMO}).")
    return load_config("demo", overrides, name=name)


def competition_of_submissions(overrides: Mapping[str, Any] | None = None) -> Config:
    """`default_config`, or where it cannot tell, as with a profile of one's own, the config of runs of one competition.

    Raises:
        CompetitionError: as `default_config`, where there are no runs, or runs of several competitions.
    """
    try:
        return default_config(overrides)
    except CompetitionError as error:
        try:
            configs = [run.config for run in all_runs()]
        except RunError:
            raise error from None
        places = {(config.competition.profile, config.competition.root) for config in configs}
        if len(places) != 1:
            raise
        ((profile, root),) = places
        print(f"Competition: {root} ({profile}), that of the runs")
        return override(configs[0], overrides or {})


def folder_to_describe(overrides: Mapping[str, Any]) -> Path:
    """The folder that a profile is to be drafted for: the overrides', or the one under ``data/`` that fits no profile.

    Raises:
        CompetitionError: overrides of anything else; no such folder, or several.
    """
    if others := sorted(set(overrides) - {ROOT}):
        raise CompetitionError(
            f"--draft takes --{ROOT} alone, not --{', --'.join(others)}: a draft depends on files only"
        )
    if ROOT in overrides:
        return Path(overrides[ROOT])
    found = strange_folders(DATA)
    if len(found) != 1:
        listed = f"{', '.join(map(str, found))} fit no profile" if found else f"no folder under {DATA}/ fits no profile"
        raise CompetitionError(f"{listed}: name the folder to describe with --{ROOT}")
    return found[0]


def default_run() -> Path:
    """The only run, or of several that of the competition's config.

    Raises:
        RunError: there is none, or it is not clear which is meant.
    """
    runs = [run.path for run in all_runs()]
    if len(runs) == 1:
        print(f"Run: {runs[0]} (the only one)")
        return runs[0]
    listed = ", ".join(map(str, runs))
    try:
        path = RUNS / default_config().name
    except CompetitionError as error:
        raise RunError(f"the runs are {listed}: choose with --runs ({error})") from None
    if path not in runs:
        raise RunError(f"there is no {path}, but {listed}: choose with --runs")
    return path


def _config_of_folder(folder: Path, overrides: Mapping[str, Any], name: str | None) -> Config:
    """The config of the profile that fits a folder; the demo's of its own folder."""
    if folder == DEMO:
        return load_config("demo", overrides, name=name)
    if url_of(folder) is None and not folder.is_dir():
        raise CompetitionError(
            f"competition.root is {folder}: there is no such folder; give its folder with --competition.root"
        )
    profile = fitting_profile(folder)
    if profile is None:
        raise CompetitionError(f"{describe_stranger(folder)}. {how_to_describe([folder])}")
    print(_recognised(folder, profile))
    return _config_of(profile, {**overrides, PROFILE: profile}, name)


def _recognised(folder: Path, profile: str) -> str:
    return f"Competition: {folder} ({profile}), config {_named(profile) or 'defaults'}"


def _config_of(profile: str, overrides: Mapping[str, Any], name: str | None) -> Config:
    """The config that comes with maskfold for a profile; where there is none, the defaults, named after the profile."""
    shipped = _named(profile)
    return load_config(shipped, {PROFILE: profile, **overrides}, name=name or (None if shipped else Path(profile).stem))


def _named(profile: str) -> str | None:
    name = profile.replace("-", "_")
    return name if name in shipped_configs() else None
