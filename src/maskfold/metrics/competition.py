"""The number a competition ranks by, from per-image statistics.

Validation, tuning, cross-fitting, merging of processes and the bootstrap all need the score of some selection
of images. So a metric is split in two: `image_stats` looks at the pixels of an image once, `score` turns the
rows of any selection into the competition's number.
"""

import difflib
from abc import ABC, abstractmethod
from typing import Any

import numpy as np

from maskfold.metrics.arrays import nan_mean, ratio
from maskfold.metrics.fine_grained import class_counts, iou, of_present
from maskfold.metrics.overlap import image_counts
from maskfold.metrics.tgs import precision_over_thresholds


class CompetitionMetric(ABC):
    """Higher is better. Rows of two sets (or processes) are merged by concatenation."""

    name: str

    def __init__(self, num_classes: int, ignore_index: int | None) -> None:
        self.num_classes = num_classes
        self.ignore_index = ignore_index

    @abstractmethod
    def image_stats(self, pred: Any, target: Any) -> np.ndarray:
        """float64 (k,), all that `score` needs of one image; pred, target: labels (H, W), at best uint8."""

    @abstractmethod
    def per_image(self, stats: np.ndarray) -> np.ndarray:
        """A score of each image, (..., n, k) -> (..., n), nan for an image without a valid pixel."""

    def per_class(self, stats: np.ndarray) -> np.ndarray | None:
        """The score of each class over the set, (n, k) -> (C,); None for a metric of binary masks."""
        return None

    def score(self, stats: np.ndarray) -> np.ndarray | float:
        """The competition's number, (n, k) -> a float, (..., n, k) -> (...); nan when no image can be judged."""
        return nan_mean(self.per_image(stats))[()]


class _BinaryMetric(CompetitionMetric):
    def __init__(self, num_classes: int, ignore_index: int | None) -> None:
        if num_classes > 2:
            raise ValueError(f"{self.name} is a metric of binary masks, got {num_classes} classes: use miou.")
        super().__init__(num_classes, ignore_index)


class _OverlapMetric(_BinaryMetric):
    """Stats: TP, FP, FN in pixels; nan for an image without a valid pixel, which is no empty mask."""

    def image_stats(self, pred: Any, target: Any) -> np.ndarray:
        counts = image_counts(pred, target, self.ignore_index)
        return np.array(counts[:3] if any(counts) else [np.nan] * 3, dtype=np.float64)


class DiceMetric(_OverlapMetric):
    """Mean over images of 2 TP / (2 TP + FP + FN), 1 where both masks are empty."""

    name = "dice"

    def per_image(self, stats: np.ndarray) -> np.ndarray:
        tp2 = 2 * stats[..., 0]
        return ratio(tp2, tp2 + stats[..., 1] + stats[..., 2], 1.0)


class IoUMetric(_OverlapMetric):
    """Mean over images of TP / (TP + FP + FN), 1 where both masks are empty."""

    name = "iou"

    def per_image(self, stats: np.ndarray) -> np.ndarray:
        return ratio(stats[..., 0], stats[..., 0] + stats[..., 1] + stats[..., 2], 1.0)


class TgsMapMetric(_BinaryMetric):
    """Mean over images of `tgs_map`. Stats: that score."""

    name = "tgs_map"

    def image_stats(self, pred: Any, target: Any) -> np.ndarray:
        return precision_over_thresholds(image_counts(pred, target, self.ignore_index))[None]

    def per_image(self, stats: np.ndarray) -> np.ndarray:
        return stats[..., 0]


class MeanIoUMetric(CompetitionMetric):
    """miou_d: TP, FP, FN summed over the set, IoU per class, mean over the classes labelled or predicted.

    Stats: TP, FP, FN of class 0, of class 1 ... The score of an image is the mean over the classes in its
    label. One class (a network of one logit) means background and foreground.
    """

    name = "miou"

    def __init__(self, num_classes: int, ignore_index: int | None) -> None:
        super().__init__(max(2, num_classes), ignore_index)

    def image_stats(self, pred: Any, target: Any) -> np.ndarray:
        return class_counts(pred, target, self.num_classes, self.ignore_index).ravel().astype(np.float64)

    def per_image(self, stats: np.ndarray) -> np.ndarray:
        return nan_mean(of_present(self._by_class(stats), iou))

    def per_class(self, stats: np.ndarray) -> np.ndarray:
        """IoU of each class over the set, (..., n, k) -> (..., C); nan for a class neither labelled nor predicted."""
        return iou(self._by_class(stats.sum(-2)))

    def score(self, stats: np.ndarray) -> np.ndarray | float:
        return nan_mean(self.per_class(stats))[()]

    def _by_class(self, stats: np.ndarray) -> np.ndarray:
        return stats.reshape(*stats.shape[:-1], self.num_classes, 3)


METRICS: dict[str, type[CompetitionMetric]] = {
    "dice": DiceMetric,
    "iou": IoUMetric,
    "miou": MeanIoUMetric,
    "tgs_map": TgsMapMetric,
}


def build_metric(name: str, *, num_classes: int = 1, ignore_index: int | None = 255) -> CompetitionMetric:
    """The metric of that name in `METRICS`; a ValueError that names the nearest one if there is none.

    num_classes: channels of the network's output, 1 for a binary competition.
    ignore_index: target pixels of this value are not scored; None: there are none.
    """
    if name not in METRICS:
        near = difflib.get_close_matches(str(name), METRICS, n=1, cutoff=0.3)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise ValueError(f"there is no metric {name!r}: {hint}Choose one of {', '.join(METRICS)}.")
    return METRICS[name](num_classes, ignore_index)
