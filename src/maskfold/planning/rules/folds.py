"""How the images are split, and how many folds are trained."""

from maskfold.config import FoldsConfig
from maskfold.datasets.folds import GROUPED
from maskfold.planning.costs import Split
from maskfold.planning.fingerprint import Fingerprint
from maskfold.planning.reason import Reason

COUNT = 5
COUNTS = (1, 2, 3, 5)  # of folds to choose from
SEARCHED = 20_000  # images that are read and compared with each other, before folds are made, within minutes
NEVER_DRAWN = 0.368  # share of n images that n draws with replacement leave out: 1/e


def kind(data: Fingerprint, config: FoldsConfig) -> Reason:
    """The competition's own split; else sets of images together where there are any; else stratified by coverage."""
    if config.kind != "auto":
        return Reason(config.kind, "as the config has it")
    asked = config.group is not None or config.copies == "together"  # which the competition's own split cannot do
    if data.given and not asked:
        return Reason("given", "the competition has a validation split of its own")
    if data.groups > 1 or (data.groups and asked):
        return Reason("stratified-grouped", f"{data.groups} groups of images stay together, coverage is even")
    if asked or (not data.groups and _worth_a_search(data)):
        return Reason("auto", "coverage is even; near-copies stay together, where there are any")
    known = "all images are of one group" if data.groups else "no groups are known"
    return Reason("stratified", f"{known}; coverage is even")


def copies(data: Fingerprint, kind: str, config: FoldsConfig) -> Reason:
    """Near-copies in one fold, where the folds are made here and leave two sets of images at least.

    Source: the winner of the kelp competition (DrivenData) gained 0.008 by it.
    """
    if config.copies == "together":
        return Reason("together", "as the config has it")
    if not data.copies:
        return Reason("apart", "no near-copies were found")
    if kind == "given":
        return Reason("apart", f"{data.copies} near-copies stay where the competition's split has them")
    if kind not in GROUPED:
        return Reason("apart", f"folds.kind {kind} splits {data.copies} near-copies")
    if not _worth_a_search(data):
        why = "they join all images" if data.units < 2 else f"a search would compare {data.train} images"
        return Reason("apart", f"{data.copies} near-copies of {data.read} images that were read: {why}")
    return Reason("together", f"{data.copies} of {data.read} images that were read nearly repeat another one")


def _worth_a_search(data: Fingerprint) -> bool:
    return data.copies > 0 and data.units > 1 and data.train <= SEARCHED


def count(data: Fingerprint, kind: str, copies: str, config: FoldsConfig) -> Reason:
    """Five folds: each trains on 80 % of the images. Fewer where fewer sets stay together; the config's own number."""
    if kind in ("given", "holdout"):
        return Reason(1, "one split")
    if config.count != COUNT:
        return Reason(config.count, "as the config has it")
    units, what = data.train, "images"
    if kind in GROUPED and copies == "together":
        units, what = data.units, "sets of images that stay together"
    elif kind in GROUPED and data.groups:
        units, what = data.groups, "groups"
    made = max(2, min(COUNT, units))
    return Reason(made, "each trains on 80 % of the images" if made == COUNT else f"there are {units} {what}")


def split(data: Fingerprint, kind: str, made: int, config: FoldsConfig) -> Split:
    """The images that each of so many folds trains on, and validates."""
    if kind == "bootstrap":
        return Split(data.train, NEVER_DRAWN * data.train)
    share = data.given if kind == "given" else config.valid_share if kind == "holdout" else 1 / made
    return Split((1 - share) * data.train, share * data.train)


def counts(made: int, config: FoldsConfig) -> list[int]:
    """Numbers of folds that may be trained."""
    if config.trained is not None:
        return [min(config.trained, made)]
    return sorted({made, *(number for number in COUNTS if number < made)})


def trained(chosen: int, made: int, images: float, config: FoldsConfig) -> Reason:
    """The reason for the number of folds."""
    if config.trained is not None:
        return Reason(chosen, "as the config has it")
    if chosen == made:
        return Reason(None, f"all: each draws {images:.0f} images in its epochs")
    return Reason(chosen, f"of {made}: each draws {images:.0f} images in its epochs; more folds would draw too few")
