"""The number a competition ranks by, from per-image statistics.

Validation, tuning, cross-fitting, merging of processes and the bootstrap all need the score of some selection
of images. So a metric is split in two: `image_stats` looks at the pixels of an image once, `score` turns the
rows of any selection into the competition's number.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar, get_args

import numpy as np

from maskfold.errors import MaskfoldError
from maskfold.extension import load_named
from maskfold.labels import Label, LabelSpec, Task
from maskfold.metrics.arrays import nan_mean, ratio
from maskfold.metrics.fine_grained import FN, FP, TP, iou, mask_counts, of_present
from maskfold.metrics.overlap import ConfusionCounts, image_counts
from maskfold.metrics.tgs import precision_over_thresholds


class CompetitionMetric(ABC):
    """Higher is better. Rows of two sets (or processes) are merged by concatenation.

    Attributes:
        name: as configs and reports call it.
        tasks: that it can score.
        costs: what a false positive and a false negative cost, (a, b), where the score is, or grows with, a ratio
            TP / (TP + a FP + b FN); None: it is not of this kind. The loss of soft labels follows from them.
        labels: of the masks.
        class_names: what `per_class` has a score of; empty where it has none.
    """

    name: ClassVar[str]
    tasks: ClassVar[tuple[Task, ...]] = get_args(Task)
    costs: ClassVar[tuple[float, float] | None] = None

    def __init__(self, labels: LabelSpec) -> None:
        if labels.task not in self.tasks:
            raise MaskfoldError(
                f"the metric {self.name} scores {' and '.join(self.tasks)} masks, and the task is {labels.task}: "
                "use miou, or a metric of your own as package.module:Name."
            )
        self.labels = labels
        self.class_names: tuple[str, ...] = ()

    @abstractmethod
    def image_stats(self, mask: np.ndarray, label: Label) -> np.ndarray:
        """float64 (k,), all that `score` needs of one image.

        mask: what was predicted, uint8, see `maskfold.labels`.
        label: the truth, hard labels of the mask's shape.
        """

    @abstractmethod
    def per_image(self, stats: np.ndarray) -> np.ndarray:
        """A score of each image, (..., n, k) -> (..., n), nan for an image without a valid pixel."""

    def per_class(self, stats: np.ndarray) -> np.ndarray:
        """The score of each of ``class_names`` over the set, (n, k) -> (C,)."""
        return np.empty(0)

    def score(self, stats: np.ndarray) -> np.ndarray | float:
        """The competition's number, (n, k) -> a float, (..., n, k) -> (...); nan when no image can be scored."""
        return nan_mean(self.per_image(stats))[()]


class CountedMetric(CompetitionMetric):
    """A metric that needs no more of an image than its counts, wherever they were counted."""

    @abstractmethod
    def stats_of_counts(self, counts: np.ndarray) -> np.ndarray:
        """`image_stats` of the counts of one image, int64 (V, 3), see `mask_counts`; all its pixels count."""


# TP, FP and FN in pixels of each class that can be absent; of a binary mask the fastest way.
_COUNTS: dict[Task, Callable[[LabelSpec, np.ndarray, Label], Any]] = {
    "binary": lambda labels, mask, label: image_counts(mask, label.values, label.valid)[:3],
    "multiclass": lambda labels, mask, label: mask_counts(labels, mask, label.values, label.valid)[1:],
    "multilabel": lambda labels, mask, label: mask_counts(labels, mask, label.values, label.valid),
}


class _OverlapMetric(CountedMetric):
    """Mean over images and classes of a ratio of counts, 1 where a class is neither labelled nor predicted.

    The classes are those of the task, of exclusive ones without class 0, the background.
    Stats: TP, FP, FN in pixels, class by class; nan for an image without a valid pixel, which is not an empty mask.
    """

    def __init__(self, labels: LabelSpec) -> None:
        super().__init__(labels)
        self._names = labels.class_names[1:] if labels.exclusive else labels.class_names
        # One class only: its score is the score.
        self.class_names = () if labels.task == "binary" else self._names

    def image_stats(self, mask: np.ndarray, label: Label) -> np.ndarray:
        if not label.valid.any():
            return np.full(3 * len(self._names), np.nan)
        counts = _COUNTS[self.labels.task](self.labels, mask, label)
        return np.ravel(counts).astype(np.float64)

    def stats_of_counts(self, counts: np.ndarray) -> np.ndarray:
        return counts[-len(self._names) :].ravel().astype(np.float64)

    def per_image(self, stats: np.ndarray) -> np.ndarray:
        return self._ratios(stats).mean(-1)

    def per_class(self, stats: np.ndarray) -> np.ndarray:
        return nan_mean(self._ratios(stats), axis=-2) if self.class_names else np.empty(0)

    def _ratios(self, stats: np.ndarray) -> np.ndarray:
        """(..., n, k) -> (..., n, C)."""
        return self.ratio(stats.reshape(*stats.shape[:-1], len(self._names), 3))

    @abstractmethod
    def ratio(self, counts: np.ndarray) -> np.ndarray:
        """Of the counts (..., 3) of an image and class."""


class DiceMetric(_OverlapMetric):
    """Mean over images and classes of 2 TP / (2 TP + FP + FN), 1 where both masks are empty."""

    name = "dice"
    costs = (0.5, 0.5)

    def ratio(self, counts: np.ndarray) -> np.ndarray:
        tp2 = 2 * counts[..., TP]
        return ratio(tp2, tp2 + counts[..., FP] + counts[..., FN], 1.0)


class IoUMetric(_OverlapMetric):
    """Mean over images and classes of TP / (TP + FP + FN), 1 where both masks are empty."""

    name = "iou"
    costs = (1.0, 1.0)

    def ratio(self, counts: np.ndarray) -> np.ndarray:
        return ratio(counts[..., TP], counts[..., TP] + counts[..., FP] + counts[..., FN], 1.0)


class TgsMapMetric(CountedMetric):
    """Mean over images of `tgs_map`. Stats: that score."""

    name = "tgs_map"
    tasks = ("binary",)
    costs = (1.0, 1.0)

    def image_stats(self, mask: np.ndarray, label: Label) -> np.ndarray:
        return precision_over_thresholds(image_counts(mask, label.values, label.valid))[None]

    def stats_of_counts(self, counts: np.ndarray) -> np.ndarray:
        (tn, *_), (tp, fp, fn) = counts
        return precision_over_thresholds(ConfusionCounts(tp, fp, fn, tn))[None]

    def per_image(self, stats: np.ndarray) -> np.ndarray:
        return stats[..., 0]


class MeanIoUMetric(CountedMetric):
    """miou_d: TP, FP, FN summed over the set, IoU per class, mean over the classes labelled or predicted.

    The classes are ``labels.value_names``: of a binary task background and foreground. Stats: TP, FP, FN, class by
    class. The score of an image is the mean over the classes in its label.
    """

    name = "miou"
    costs = (1.0, 1.0)

    def __init__(self, labels: LabelSpec) -> None:
        super().__init__(labels)
        self.class_names = labels.value_names

    def image_stats(self, mask: np.ndarray, label: Label) -> np.ndarray:
        return self.stats_of_counts(mask_counts(self.labels, mask, label.values, label.valid))

    def stats_of_counts(self, counts: np.ndarray) -> np.ndarray:
        return counts.ravel().astype(np.float64)

    def per_image(self, stats: np.ndarray) -> np.ndarray:
        return nan_mean(of_present(self._by_class(stats), iou))

    def per_class(self, stats: np.ndarray) -> np.ndarray:
        """IoU of each class over the set, (..., n, k) -> (..., C); nan for a class neither labelled nor predicted."""
        return iou(self._by_class(stats.sum(-2)))

    def score(self, stats: np.ndarray) -> np.ndarray | float:
        return nan_mean(self.per_class(stats))[()]

    def _by_class(self, stats: np.ndarray) -> np.ndarray:
        return stats.reshape(*stats.shape[:-1], len(self.class_names), 3)


METRICS: dict[str, type[CompetitionMetric]] = {
    "dice": DiceMetric,
    "iou": IoUMetric,
    "miou": MeanIoUMetric,
    "tgs_map": TgsMapMetric,
}


def build_metric(name: str, labels: LabelSpec) -> CompetitionMetric:
    """The metric of that name in `METRICS`, or anyone's own as ``package.module:Name``.

    Raises:
        MaskfoldError: no such metric (the nearest is named), not a `CompetitionMetric`, or one that does not score the
            task.
    """
    return load_named(name, METRICS, "metric", CompetitionMetric)(labels)
