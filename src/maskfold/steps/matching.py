"""Runs that work together: of one competition, with networks that see the same images and tell the same classes."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from maskfold.competitions.profile import load_profile
from maskfold.errors import RunError, first_few, repeated
from maskfold.runs.run import Run
from maskfold.steps.competition import ROOT
from maskfold.steps.places import as_runs
from maskfold.storage import url_of


def matching_runs(runs: Run | Sequence[Run], overrides: Mapping[str, Any] | None = None) -> list[Run]:
    """One run or several, as a list.

    Where the competition's files were is not compared where ``overrides`` say where they are: runs may come from
    several machines.

    Raises:
        RunError: runs whose images or classes differ, or of several places none of which was chosen; as
            `refuse_repeated_runs`.
    """
    listed = as_runs(runs)
    refuse_repeated_runs(listed)
    facts = [_facts(run) for run in listed] if len(listed) > 1 else []
    for run, theirs in zip(listed[1:], facts[1:], strict=True):
        for name, value in facts[0].items():
            if theirs[name] != value:
                raise RunError(
                    f"{listed[0].path} and {run.path} do not go together: {name} is {value} in the first, "
                    f"{theirs[name]} in the second. Name runs of one competition, with the same classes in one order"
                )
    places = dict.fromkeys(str(run.config.competition.root) for run in listed)
    if len(places) > 1 and ROOT not in (overrides or {}):
        raise RunError(
            f"the runs were trained on the files of several folders ({', '.join(places)}): if it is one competition, "
            f"say where it is now with --{ROOT}; else name runs of one"
        )
    return listed


def refuse_repeated_runs(runs: Sequence[Run]) -> None:
    """Refuse runs of which one is named twice, however it is written: it would count double.

    Raises:
        RunError: it is.
    """
    places = [str(run.path if url_of(run.path) else run.path.resolve()) for run in runs]
    if twice := repeated(places):
        named = (str(run.path) for run, place in zip(runs, places, strict=True) if place in twice)
        raise RunError(f"one run is named more than once ({first_few(named)}): name it once")


def _facts(run: Run) -> dict[str, Any]:
    """What networks whose probabilities are averaged must have in common, by the names of a profile's keys."""
    competition = run.config.competition
    profile = load_profile(competition.profile)
    names = competition.class_names or profile.class_names
    return {
        "task": getattr(profile, "task", None) or "null",
        "class_names": ", ".join(names) or "that of the files",
        "image_spec": asdict(profile.image_spec),
        "channels": profile.channels,
        "slices": getattr(profile, "slices", None) or "null",
        "pixel_size.wanted": "null" if profile.pixel_size is None else profile.pixel_size.wanted,
    }
