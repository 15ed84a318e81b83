"""Mean IoU over the classes of a set, background and all."""

import numpy as np

from maskfold.labels import Label, LabelSpec
from maskfold.metrics.competition import CountedMetric
from maskfold.metrics.fine_grained import iou, mask_counts, of_present
from maskfold.metrics.ratios import Weights, class_weights, nan_weighted_mean


class MeanIoUMetric(CountedMetric):
    """miou_d: TP, FP, FN summed over the set, IoU per class, mean over the classes labelled or predicted.

    The classes are ``labels.value_names``: of a binary task background and foreground. Stats: TP, FP, FN, class by
    class. The score of an image is the mean over the classes in its label.

    Args:
        labels: of the masks.
        weights: of the classes in their mean, by name; None: they weigh the same.
    """

    name = "miou"
    costs = (1.0, 1.0)
    of_sums = True

    def __init__(self, labels: LabelSpec, *, weights: Weights = None) -> None:
        super().__init__(labels)
        self.class_names = labels.value_names
        self._weights = class_weights(self.name, weights, self.class_names)

    def image_stats(self, mask: np.ndarray, label: Label) -> np.ndarray:
        return self.stats_of_counts(mask_counts(self.labels, mask, label.values, label.valid))

    def stats_of_counts(self, counts: np.ndarray) -> np.ndarray:
        return counts.ravel().astype(np.float64)

    def per_image(self, stats: np.ndarray) -> np.ndarray:
        return nan_weighted_mean(of_present(self._by_class(stats), iou), self._weights)

    def per_class(self, stats: np.ndarray) -> np.ndarray:
        """IoU of each class over the set, (..., n, k) -> (..., C); nan for a class neither labelled nor predicted."""
        return iou(self._by_class(stats.sum(-2)))

    def score(self, stats: np.ndarray) -> np.ndarray | float:
        return nan_weighted_mean(self.per_class(stats), self._weights)[()]

    def _by_class(self, stats: np.ndarray) -> np.ndarray:
        return stats.reshape(*stats.shape[:-1], len(self.class_names), 3)
