"""How the images are split, and how many folds are trained."""

from maskfold.config import FoldsConfig
from maskfold.planning.fingerprint import Fingerprint
from maskfold.planning.reason import Reason

COUNT = 5
COUNTS = (1, 2, 3, 5)  # of folds to choose from


def kind(data: Fingerprint, config: FoldsConfig) -> Reason:
    """The competition's own split; else groups together where there are any; else stratified by coverage."""
    if config.kind != "auto":
        return Reason(config.kind, "as the config has it")
    if data.given:
        return Reason("given", "the competition has a validation split of its own")
    if data.groups:
        return Reason("stratified-grouped", f"{data.groups} groups of images stay together, coverage is even")
    return Reason("stratified", "no groups are known; coverage is even")


def copies(data: Fingerprint, kind: str, config: FoldsConfig) -> Reason:
    """Near-copies in one fold, where the folds are made here.

    Source: the winner of the kelp competition (DrivenData) gained 0.008 by it.
    """
    if config.copies == "together":
        return Reason("together", "as the config has it")
    if data.copies and kind != "given":
        return Reason("together", f"{data.copies} of {data.read} images that were read nearly repeat another one")
    if data.copies:
        return Reason("apart", f"{data.copies} near-copies stay where the competition's split has them")
    return Reason("apart", "no near-copies were found")


def count(data: Fingerprint, split: str, config: FoldsConfig) -> Reason:
    """Five folds: each trains on 80 % of the images. Fewer where there are fewer groups; the config's own number."""
    if split in ("given", "holdout"):
        return Reason(1, "one split")
    if config.count != COUNT:
        return Reason(config.count, "as the config has it")
    units, what = (data.groups, "groups") if data.groups else (data.train, "images")
    made = max(2, min(COUNT, units))
    return Reason(made, "each trains on 80 % of the images" if made == COUNT else f"there are {units} {what}")


def counts(made: int, config: FoldsConfig) -> list[int]:
    """Numbers of folds that may be trained."""
    if config.trained is not None:
        return [min(config.trained, made)]
    return sorted({min(number, made) for number in COUNTS})


def trained(chosen: int, made: int, images: float, config: FoldsConfig) -> Reason:
    """The reason for the number of folds."""
    if config.trained is not None:
        return Reason(chosen, "as the config has it")
    if chosen == made:
        return Reason(None, f"all: each trains on {images:.0f} images within the hours")
    return Reason(chosen, f"of {made}: each trains on {images:.0f} images, with more folds it would be too few")
