"""A draft is loaded as a profile, and some of the files are read with it."""

import copy
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml

from maskfold.checks.draft.draft import Draft
from maskfold.checks.draft.resemble import Resemblance, nearest_profile
from maskfold.competitions import Competition
from maskfold.competitions.find import fitting_profile
from maskfold.competitions.profile import FILL_IN, Profile, read_profile
from maskfold.errors import CompetitionError, MaskfoldError, first_few
from maskfold.picks import every_nth

# Masks that are drawn.
DRAWN = 100


@dataclass
class Tried:
    """What came of it.

    Attributes:
        problems: what does not work.
        facts: what was read.
        nearest: the profile that comes with maskfold and is most like it.
        fits: name of the profile that comes with maskfold and finds all its files in the folder.
    """

    problems: list[str] = field(default_factory=list)
    facts: str = ""
    nearest: Resemblance | None = None
    fits: str | None = None


def try_out(draft: Draft, root: Path) -> Tried:
    """Load the draft, with a score that fits its task where none is filled in; read samples and masks with it."""
    found = Tried(fits=fitting_profile(root))
    try:
        profile = _loaded(_filled(draft))
        found.nearest = nearest_profile(profile, draft.open)
        if set(draft.open) <= {"metric"}:
            _read(Competition(profile, root), found)
    except MaskfoldError as error:
        found.problems.append(str(error))
    return found


def _filled(draft: Draft) -> dict[str, Any]:
    tree = copy.deepcopy(draft.tree)
    exclusive = len(tree.get("class_names", ())) > 1 and tree.get("task") != "multilabel"
    fillers = {"metric": "miou" if exclusive else "dice"}
    for key in draft.open:
        *sections, name = key.split(".")
        place = tree
        for section in sections:
            place = place[section]
        place[name] = fillers.get(key, f"{FILL_IN.lower()}/{{id}}")
    return tree


def _loaded(tree: dict[str, Any]) -> Profile:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "draft.yaml"
        path.write_text(yaml.safe_dump(tree, sort_keys=False), encoding="utf-8")
        try:
            return read_profile(path)
        except CompetitionError as error:
            raise CompetitionError(str(error).replace(f"profile {path}: ", "the draft cannot be loaded: ")) from None


def _read(competition: Competition, found: Tried) -> None:
    counts = {}
    for split in ("train", "test"):
        survey = competition.survey(split)
        counts[split] = len(survey.samples)
        found.problems += [f"the {split} split: {problem}" for problem in survey.problems]
    drawn, failed = 0, []
    for sample in every_nth(competition.survey("train").samples, DRAWN):
        try:
            competition.label(sample.masks, competition.size(sample.image), id=sample.id)
            drawn += 1
        except MaskfoldError as error:
            failed.append(str(error))
    if failed:
        found.problems.append(f"{len(failed)} of {drawn + len(failed)} masks that were tried: {first_few(failed, 2)}")
    found.facts = f"{counts['train']} training and {counts['test']} test images; {drawn} masks drawn without an error"
