"""Scores that are ratios of counts: Dice, IoU, F-beta; the mean over images, or of the counts of the whole set."""

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

import numpy as np

from maskfold.errors import MaskfoldError
from maskfold.labels import Label, LabelSpec
from maskfold.metrics.arrays import nan_mean, ratio
from maskfold.metrics.competition import CountedMetric
from maskfold.metrics.fine_grained import FN, FP, TP, mask_counts
from maskfold.metrics.overlap import image_counts

Weights = Mapping[str, float] | None


class _RatioMetric(CountedMetric):
    """TP / (TP + a FP + b FN) of each class; ``costs`` are a and b.

    The classes are those of the task, of exclusive ones without class 0, the background.
    Stats: TP, FP, FN in pixels, class by class; nan for an image without a valid pixel, which is not an empty mask.

    Args:
        labels: of the masks.
        weights: of the classes in their mean, by name; None: they weigh the same.
    """

    costs: tuple[float, float]

    def __init__(self, labels: LabelSpec, *, weights: Weights = None) -> None:
        super().__init__(labels)
        self._names = labels.class_names[1:] if labels.exclusive else labels.class_names
        # One class only: its score is the score.
        self.class_names = () if labels.task == "binary" else self._names
        self._weights = class_weights(self.name, weights, self._names)

    def image_stats(self, mask: np.ndarray, label: Label) -> np.ndarray:
        if not label.valid.any():
            return np.full(3 * len(self._names), np.nan)
        if self.labels.task == "binary":  # the fastest way
            return self.stats_of_counts(np.array([image_counts(mask, label.values, label.valid)[:3]]))
        return self.stats_of_counts(mask_counts(self.labels, mask, label.values, label.valid))

    def stats_of_counts(self, counts: np.ndarray) -> np.ndarray:
        return counts[-len(self._names) :].ravel().astype(np.float64)

    def _ratios(self, stats: np.ndarray, empty: float) -> np.ndarray:
        """(..., k) -> (..., C), ``empty`` where a class is neither labelled nor predicted."""
        counts = stats.reshape(*stats.shape[:-1], len(self._names), 3)
        of_fp, of_fn = self.costs
        tp = counts[..., TP]
        return ratio(tp, tp + of_fp * counts[..., FP] + of_fn * counts[..., FN], empty)

    def per_class(self, stats: np.ndarray) -> np.ndarray:
        return self._of_classes(stats) if self.class_names else np.empty(0)

    @abstractmethod
    def _of_classes(self, stats: np.ndarray) -> np.ndarray:
        """The score of each class over the set, (..., n, k) -> (..., C)."""


class _MeanMetric(_RatioMetric):
    """The mean over images and classes.

    Args:
        labels: of the masks.
        empty: the score of a class that is neither labelled nor predicted in an image: 1 for most competitions, 0 for
            some; None: it leaves the mean.
        weights: as for `_RatioMetric`.
    """

    def __init__(self, labels: LabelSpec, *, empty: float | None = 1, weights: Weights = None) -> None:
        super().__init__(labels, weights=weights)
        if empty not in (0, 1, None):
            raise MaskfoldError(f"the metric {self.name} has empty: {empty!r}; expected 1, 0, or null")
        self.empty = np.nan if empty is None else float(empty)

    def per_image(self, stats: np.ndarray) -> np.ndarray:
        mean = nan_weighted_mean if np.isnan(self.empty) else weighted_mean
        return mean(self._ratios(stats, self.empty), self._weights)

    def _of_classes(self, stats: np.ndarray) -> np.ndarray:
        return nan_mean(self._ratios(stats, self.empty), axis=-2)


class _PooledMetric(_RatioMetric):
    """Counts are summed over all images, then the mean over classes; one that is nowhere leaves it.

    The score of an image, for tables of the worst, is that of its own counts, 1 for a class that is nowhere in it.
    """

    of_sums = True

    def per_image(self, stats: np.ndarray) -> np.ndarray:
        return weighted_mean(self._ratios(stats, 1.0), self._weights)

    def score(self, stats: np.ndarray) -> np.ndarray | float:
        return nan_weighted_mean(self._of_classes(stats), self._weights)[()]

    def _of_classes(self, stats: np.ndarray) -> np.ndarray:
        return self._ratios(np.nansum(stats, axis=-2), np.nan)


class _FBeta:
    """``costs`` of F-beta, (1 + b²) TP / ((1 + b²) TP + FP + b² FN): above 1 beta cares more for missed pixels."""

    name: str
    costs: tuple[float, float]

    def __init__(self, labels: LabelSpec, *, beta: float, **options: Any) -> None:
        if isinstance(beta, bool) or not isinstance(beta, int | float) or not beta > 0:
            raise MaskfoldError(f"the metric {self.name} has beta: {beta!r}; expected a number above 0, such as 0.5")
        self.costs = (1 / (1 + beta**2), beta**2 / (1 + beta**2))
        super().__init__(labels, **options)  # pyright: ignore[reportCallIssue]


class DiceMetric(_MeanMetric):
    """Mean over images and classes of 2 TP / (2 TP + FP + FN), ``empty`` (1) where both masks are empty."""

    name = "dice"
    costs = (0.5, 0.5)


class IoUMetric(_MeanMetric):
    """Mean over images and classes of TP / (TP + FP + FN), ``empty`` (1) where both masks are empty."""

    name = "iou"
    costs = (1.0, 1.0)


class FBetaMetric(_FBeta, _MeanMetric):
    """Mean over images and classes of F-beta (vesuvius: 0.5), ``empty`` (1) where both masks are empty."""

    name = "f_beta"


class PooledDiceMetric(_PooledMetric):
    """Dice of the pixels of all images together, then the mean over classes: contrails' global Dice."""

    name = "pooled_dice"
    costs = (0.5, 0.5)


class PooledIoUMetric(_PooledMetric):
    """IoU of the pixels of all images together, then the mean over classes; unlike `miou` without background."""

    name = "pooled_iou"
    costs = (1.0, 1.0)


class PooledFBetaMetric(_FBeta, _PooledMetric):
    """F-beta of the pixels of all images together, then the mean over classes."""

    name = "pooled_f_beta"


def class_weights(name: str, weights: Weights, classes: tuple[str, ...]) -> np.ndarray | None:
    """float64 (C,) of ``weights`` by class name; None where all weigh the same.

    Raises:
        MaskfoldError: not a number of at least 0 for each class, or none above 0.
    """
    if weights is None:
        return None
    found = list(weights.values()) if isinstance(weights, Mapping) else []
    numbers = all(isinstance(value, int | float) and value >= 0 for value in found)
    if not isinstance(weights, Mapping) or set(weights) != set(classes) or not numbers or not any(found):
        raise MaskfoldError(
            f"the metric {name} has weights: {weights!r}; expected a number of at least 0 for each of the classes "
            f"{', '.join(f'{each}: 1' for each in classes)}"
        )
    return np.array([weights[each] for each in classes], np.float64)


def weighted_mean(values: np.ndarray, weights: np.ndarray | None) -> np.ndarray:
    """Mean over the last axis; nan where a value is."""
    return values.mean(-1) if weights is None else values @ (weights / weights.sum())


def nan_weighted_mean(values: np.ndarray, weights: np.ndarray | None) -> np.ndarray:
    """Mean over the last axis of what is not nan; nan where nothing is left."""
    if weights is None:
        return nan_mean(values)
    there = ~np.isnan(values)
    return ratio(np.where(there, values, 0) @ weights, there @ weights)
