"""Masks counted as runs: what two masks have in common, without drawing them."""

from collections.abc import Sequence

import numpy as np

from maskfold.labels import LabelSpec
from maskfold.metrics.arrays import nan_mean
from maskfold.rle import Runs, ops

Layers = Sequence[Runs]
"""The mask of an image, one for each channel, as `Competition.runs` gives it."""


def counts_of_runs(labels: LabelSpec, found: Layers, true: Layers) -> np.ndarray:
    """int64 (V, 3), TP, FP and FN of ``labels.value_names``: as `maskfold.metrics.fine_grained.mask_counts`."""
    if labels.task == "binary":
        found, true = ((ops.complement(layers[0]), *layers) for layers in (found, true))
    rows = [ops.overlap(*pair) for pair in zip(found, true, strict=True)]
    both, predicted, labelled = np.array(rows, np.int64).T
    return np.stack([both, predicted - both, labelled - both], axis=1)


def runs_agreement(a: Layers, b: Layers) -> float:
    """`maskfold.metrics.overlap.mask_agreement`: mean Dice over the classes that either mask has, 1 where none has."""
    mean = nan_mean(np.array([ops.dice(*pair, empty=float("nan")) for pair in zip(a, b, strict=True)]))
    return 1.0 if np.isnan(mean) else float(mean)


def differing_pixels(a: Layers, b: Layers) -> int:
    """Pixels where the two masks are not the same in any class."""
    apart = [ops.symmetric_difference(*pair) for pair in zip(a, b, strict=True)]
    return ops.union(*apart).area


def foreground_pixels(labels: LabelSpec, layers: Layers) -> int:
    """Pixels of any class but a multiclass task's class 0."""
    return ops.union(*(layers[1:] if labels.exclusive else layers)).area
