"""The metric of Kaggle's TGS Salt Identification Challenge (2018)."""

from typing import Any

import numpy as np

from maskfold.labels import Label
from maskfold.metrics.competition import CountedMetric
from maskfold.metrics.overlap import ConfusionCounts, confusion_counts, image_counts


def tgs_map(pred: Any, target: Any, *, valid: Any = None) -> float | np.ndarray:
    """Mean over the IoU thresholds 0.5, 0.55 .. 0.95 of the precision TP / (TP + FP + FN), of each image.

    The whole mask is one object, so the precision at a threshold t is 1 where IoU > t, else 0 (the competition
    says "greater than": an IoU of exactly 0.5 is not a hit at 0.5). Both masks empty: 1; only one of them: 0.
    Source: https://www.kaggle.com/competitions/tgs-salt-identification-challenge/overview/evaluation

    pred, target, valid: see `confusion_counts`.
    Returns a float for (H, W), float64 (N,) for (N, H, W); nan for an image without a valid pixel.
    """
    score = precision_over_thresholds(confusion_counts(pred, target, valid=valid))
    return score if score.ndim else float(score)


def precision_over_thresholds(counts: ConfusionCounts) -> np.ndarray:
    """`tgs_map` from the counts of one image (an array of no axis) or of N (N,)."""
    tp, fp, fn, tn = (np.asarray(count) for count in counts)
    union = tp + fp + fn
    # Thresholds are k / 20, k = 10 .. 19: those below IoU have k < 20 * tp / union. In integers, as float
    # thresholds may lie on the wrong side of an IoU that equals them: np.linspace(0.5, 0.95, 10)[8] < 0.9.
    below = -(-20 * tp // np.maximum(union, 1))  # ceil(20 * IoU) = how many k >= 0 are below
    hits = np.clip(below - 10, 0, 10)
    return np.where(union > 0, hits / 10, np.where(tn > 0, 1.0, np.nan))


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
