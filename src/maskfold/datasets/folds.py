"""Which images train and which validate, written down once as ``folds.csv``.

``folds.csv`` is in long form, one row per fold and image: ``fold`` (0, 1, …), ``id``, ``split`` (train or valid) and
``times`` (how often the image stands in a round of training; more than 1 only in bootstrap folds). It is made so:

1. The samples are sorted by id, so that neither the order of a table nor of a folder matters.
2. Where folds are stratified, each image gets a bin of its mask coverage: one bin for empty masks, and
   ``folds.bins`` bins between quantiles of the others.
3. scikit-learn splits them, seeded by ``folds.seed``. Groups are those of ``folds.group``, or of the profile:

   - ``auto``: ``stratified-grouped`` where the images have groups, else ``stratified``;
   - ``holdout``: one fold, ``folds.valid_share`` of the images (of the groups, where there are groups) validate;
   - ``kfold``: every image validates in exactly one of ``folds.count`` folds;
   - ``stratified``: the same, and each fold has its share of each coverage bin;
   - ``grouped``: the same as kfold, with folds of about equal size, and every group stays together;
   - ``stratified-grouped``: every group stays together, and the bins are as even as that allows;
   - ``bootstrap``: ``folds.count`` times, n of n images (of groups, where there are groups) are drawn with
     replacement; those never drawn validate;
   - ``given``: one fold, the competition's own split.
4. The two splits of a fold never share an image nor, where the kind of folds knows groups, a group.
"""

import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from maskfold.competitions import Competition, Samples
from maskfold.config import FoldsConfig
from maskfold.errors import FoldsError, first_few
from maskfold.progress import progress

if TYPE_CHECKING:  # imported by the functions that split: prediction reads folds only
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

COLUMNS = ["fold", "id", "split", "times"]

# (training indices, possibly repeated; validation indices)
Splits = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class _Images:
    """The samples in the order of their ids."""

    samples: Samples
    coverage: np.ndarray
    groups: np.ndarray | None

    def __len__(self) -> int:
        return len(self.samples)


def make_folds(
    samples: Samples, coverage: np.ndarray, config: FoldsConfig, groups: np.ndarray | None = None
) -> pd.DataFrame:
    """Split ``samples`` into folds; the result depends on their ids, not on their order.

    Args:
        samples: the training images; ``given`` needs their own split.
        coverage: (n,) foreground share of each sample's mask.
        config: kind of folds, their number, seed.
        groups: (n,) group of each sample, as `load_groups` finds them; needed by the grouped kinds, kept together by
            holdout and bootstrap.

    Returns:
        Columns fold (int), id (str), split ("train" or "valid"), times (int); sorted by fold, then by id.

    Raises:
        FoldsError: too few images or groups for the number of folds, groups or a split missing.
    """
    order = np.argsort(np.array(samples.ids, str), kind="stable")
    ordered = Samples(samples[place] for place in order)
    groups = None if groups is None else np.asarray(groups, dtype=object).astype(str)[order]
    images = _Images(ordered, np.asarray(coverage, float)[order], groups)
    if len(images) < 2:
        raise FoldsError(f"there are {len(images)} images with masks: folds need at least 2")
    tables = [
        _fold_table(fold, ordered.ids, train, valid)
        for fold, (train, valid) in enumerate(KINDS[kind_of_folds(config, groups is not None)](images, config))
    ]
    return pd.concat(tables, ignore_index=True)


def kind_of_folds(config: FoldsConfig, grouped: bool) -> str:
    """``folds.kind``, or what ``auto`` stands for where images have groups or have none."""
    return config.kind if config.kind != "auto" else "stratified-grouped" if grouped else "stratified"


def coverages(competition: Competition, samples: Samples) -> np.ndarray:
    """(n,) float: the foreground share of each sample's mask, without drawing run lengths."""
    shown = progress(samples, "coverage", total=len(samples), unit="mask")
    return np.array([competition.coverage(s.masks, competition.size(s.image), id=s.id) for s in shown])


def ignored_groups(samples: Samples, config: FoldsConfig) -> str | None:
    """A note where groups are known but not kept together by the kind of folds that was asked for; else None."""
    groups = {sample.group for sample in samples} - {None}
    if not groups or config.kind in GROUPED:
        return None
    if config.kind == "given":
        sides = [{sample.group for sample in samples if sample.split == own} - {None} for own in ("train", "valid")]
        if not set.intersection(*sides):
            return None
    return (
        f"the profile puts the images into {len(groups)} groups, but folds.kind {config.kind} splits them: the scores "
        "may be too good; folds.kind auto keeps them together"
    )


def load_groups(
    competition: Competition, samples: Samples, config: FoldsConfig, *, search: bool = True
) -> np.ndarray | None:
    """(n,) group of each sample, or None where the kind of folds has no use for groups.

    Groups come from ``folds.group`` or else the profile; with ``folds.copies: together`` copies join them.

    Args:
        competition: whose files are read.
        samples: the training images.
        config: kind of folds, where groups are from.
        search: for copies, where the config asks for them; else images without a group are each their own, for folds
            that are there already: what is a copy may depend on the decoder.

    Raises:
        FoldsError: ``folds.group`` is set, but the kind of folds ignores groups; a sample without group.
        CompetitionError: missing file, columns or rows.
    """
    if config.kind not in GROUPED:
        if config.group is not None:
            raise FoldsError(
                f"folds.group is set, but folds.kind {config.kind} ignores groups: use one of {', '.join(GROUPED)}, or "
                "set folds.group to null"
            )
        if config.copies == "together":
            raise FoldsError(
                f"folds.copies is together, but folds.kind {config.kind} ignores groups: use one of "
                f"{', '.join(GROUPED)}, or set folds.copies to apart"
            )
        return None
    declared = competition.groups(samples, config.group) if config.group is not None else [s.group for s in samples]
    if config.copies == "together" and search:
        from maskfold.datasets.copies import copy_sets, with_copies  # they read images, which others need not

        declared = with_copies(samples.ids, declared, copy_sets(competition, samples))
    if not any(declared):
        return None
    without = [image_id for image_id, group in zip(samples.ids, declared, strict=True) if not group]
    if without and config.copies == "together" and not search:
        declared = [group or f"{image_id} alone" for image_id, group in zip(samples.ids, declared, strict=True)]
        without = []
    if without:
        raise FoldsError(f"{len(without)} images have no group: {first_few(without)}")
    return np.array(declared, dtype=object)


def coverage_bins(coverage: np.ndarray, bins: int, least: int) -> np.ndarray:
    """(n,) int: 0 for empty masks, 1 … for bins between quantiles of the others.

    At most ``bins`` of them, and no more than keep about ``least`` images in each, so that each fold gets some.
    """
    labels = np.zeros(len(coverage), int)
    filled = coverage > 0
    if filled.any():
        count = max(1, min(bins, int(filled.sum()) // least))
        edges = np.quantile(coverage[filled], np.arange(1, count) / count)
        labels[filled] = 1 + np.searchsorted(edges, coverage[filled])
    return labels


def _fold_table(fold: int, ids: Sequence[str], train: np.ndarray, valid: np.ndarray) -> pd.DataFrame:
    if len(train) == 0 or len(valid) == 0:
        empty = "training" if len(train) == 0 else "validation"
        raise FoldsError(f"fold {fold} has no {empty} images: use fewer folds, another folds.seed or folds.kind")
    times = np.bincount(train, minlength=len(ids))
    split = np.where(times > 0, "train", "")
    split[valid] = "valid"
    table = pd.DataFrame({"fold": fold, "id": ids, "split": split, "times": np.maximum(times, 1)})
    return table[table["split"] != ""]


def _holdout(images: _Images, config: FoldsConfig) -> Iterator[Splits]:
    from sklearn.model_selection import GroupShuffleSplit, ShuffleSplit

    splitter = ShuffleSplit if images.groups is None else GroupShuffleSplit
    try:
        splits = splitter(1, test_size=config.valid_share, random_state=config.seed)
        yield from splits.split(images.coverage, groups=images.groups)
    except ValueError as error:
        raise FoldsError(f"folds.valid_share {config.valid_share} leaves a split empty: {error}") from None


def _kfold(images: _Images, config: FoldsConfig) -> Iterator[Splits]:
    _check_count(len(images), "images", config)
    from sklearn.model_selection import KFold

    yield from KFold(config.count, shuffle=True, random_state=config.seed).split(images.coverage)


def _stratified(images: _Images, config: FoldsConfig) -> Iterator[Splits]:
    _check_count(len(images), "images", config)
    from sklearn.model_selection import StratifiedKFold

    splitter = StratifiedKFold(config.count, shuffle=True, random_state=config.seed)
    yield from _split_by_bins(splitter, images, config)


def _grouped(images: _Images, config: FoldsConfig) -> Iterator[Splits]:
    groups = _check_groups(images, config)
    from sklearn.model_selection import GroupKFold

    # GroupKFold fills the smallest fold with the largest group left, which evens out sizes; its own shuffling does
    # not. So the seed renames the groups, and thereby decides among groups of one size.
    names, codes = np.unique(groups, return_inverse=True)
    renamed = np.random.default_rng(config.seed).permutation(len(names))[codes]
    yield from GroupKFold(config.count).split(images.coverage, groups=renamed)


def _stratified_grouped(images: _Images, config: FoldsConfig) -> Iterator[Splits]:
    groups = _check_groups(images, config)
    from sklearn.model_selection import StratifiedGroupKFold

    splitter = StratifiedGroupKFold(config.count, shuffle=True, random_state=config.seed)
    yield from _split_by_bins(splitter, images, config, groups)


def _bootstrap(images: _Images, config: FoldsConfig) -> Iterator[Splits]:
    names = np.arange(len(images)) if images.groups is None else images.groups
    groups, codes = np.unique(names, return_inverse=True)
    for fold in range(config.count):
        drawn = np.random.default_rng([config.seed, fold]).choice(len(groups), len(groups), replace=True)
        times = np.bincount(drawn, minlength=len(groups))[codes]
        yield np.repeat(np.arange(len(images)), times), np.flatnonzero(times == 0)


def _given(images: _Images, config: FoldsConfig) -> Iterator[Splits]:
    given = np.array([sample.split for sample in images.samples], dtype=object)
    train, valid = (np.flatnonzero(given == split) for split in ("train", "valid"))
    rest = len(images) - len(train) - len(valid)
    if rest or not len(train) or not len(valid):
        raise FoldsError(
            f"folds.kind is given, but the competition's own split has {len(train)} train and {len(valid)} "
            f"valid images, and {rest} without one: use another folds.kind"
        )
    yield train, valid


def _split_by_bins(
    splitter: "StratifiedKFold | StratifiedGroupKFold",
    images: _Images,
    config: FoldsConfig,
    groups: np.ndarray | None = None,
) -> Iterator[Splits]:
    bins = coverage_bins(images.coverage, config.bins, config.count)
    if np.bincount(bins).max() < config.count:
        bins = np.zeros_like(bins)  # scikit-learn wants one bin that reaches every fold
    with warnings.catch_warnings():
        # A bin with fewer images than folds is spread as far as it goes.
        warnings.filterwarnings("ignore", message="The least populated class")
        yield from splitter.split(images.coverage, bins, groups)


def _check_groups(images: _Images, config: FoldsConfig) -> np.ndarray:
    if images.groups is None:
        raise FoldsError(
            f"folds.kind is {config.kind}, but the images have no groups: set folds.group to the CSV and its columns "
            "(file, id, column)"
        )
    _check_count(len(np.unique(images.groups)), "groups", config)
    return images.groups


def _check_count(available: int, what: str, config: FoldsConfig) -> None:
    if config.count < 2:
        raise FoldsError(f"folds.count is {config.count}: folds.kind {config.kind} needs at least 2, holdout makes one")
    if available < config.count:
        raise FoldsError(f"there are {available} {what} for {config.count} folds: lower folds.count to {available}")


KINDS: dict[str, Callable[[_Images, FoldsConfig], Iterator[Splits]]] = {
    "holdout": _holdout,
    "kfold": _kfold,
    "stratified": _stratified,
    "grouped": _grouped,
    "stratified-grouped": _stratified_grouped,
    "bootstrap": _bootstrap,
    "given": _given,
}
# These keep groups together; `grouped` and `stratified-grouped` need them.
GROUPED = ("auto", "holdout", "grouped", "stratified-grouped", "bootstrap")
