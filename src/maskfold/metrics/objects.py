"""Scores of instances: how many objects are found, over thresholds of IoU."""

from abc import abstractmethod

import numpy as np

from maskfold.instances import numbered
from maskfold.labels import Label
from maskfold.metrics.arrays import as_image_pair, ratio
from maskfold.metrics.competition import CompetitionMetric

# IoU 0.5, 0.55 .. 0.95 in twentieths: exact, where floats may be on the wrong side of an IoU that equals them.
TWENTIETHS = np.arange(10, 20)


class _ObjectsMetric(CompetitionMetric):
    """Mean over images of the mean over thresholds t of a ratio of TP, FP and FN, counted in objects.

    An object is found at t where its IoU with a labelled one is greater than t, 0.5 <= t: so nothing is found twice.
    Objects are the instances of the masks, components of masks that do not tell them apart. Pixels that do not count
    belong to none and join none. Stats: predicted objects, labelled ones, and those found at each of the ten
    thresholds; nan for an image without a valid pixel.
    """

    tasks = ("binary",)
    scores_instances = True

    def image_stats(self, mask: np.ndarray, label: Label) -> np.ndarray:
        if not label.valid.any():
            return np.full(2 + len(TWENTIETHS), np.nan)
        as_image_pair(mask, label.values)
        truth = label.values if label.instances is None else label.instances
        shared = shared_pixels(*(numbered(np.where(label.valid, one, 0)) for one in (mask, truth)))
        found = shared[1:, 1:]
        union = shared[1:].sum(1)[:, None] + shared[:, 1:].sum(0) - found
        hits = [np.count_nonzero(20 * found > t * union) for t in TWENTIETHS]
        return np.array([*found.shape, *hits], np.float64)

    def per_image(self, stats: np.ndarray) -> np.ndarray:
        tp = stats[..., 2:]
        score = self.ratio(tp, stats[..., :1] - tp, stats[..., 1:2] - tp).mean(-1)
        return np.where(np.isnan(stats[..., 0]), np.nan, score)

    @abstractmethod
    def ratio(self, tp: np.ndarray, fp: np.ndarray, fn: np.ndarray) -> np.ndarray:
        """Of counts at each threshold; 1 where there are no objects at all."""


class DsbMapMetric(_ObjectsMetric):
    """Mean over images and IoU thresholds 0.5, 0.55 .. 0.95 of TP / (TP + FP + FN), 1 for an image without objects.

    Source: https://www.kaggle.com/competitions/data-science-bowl-2018/overview/evaluation; Sartorius (2021) is alike.
    """

    name = "dsb_map"

    def ratio(self, tp: np.ndarray, fp: np.ndarray, fn: np.ndarray) -> np.ndarray:
        return ratio(tp, tp + fp + fn, 1.0)


class AirbusF2Metric(_ObjectsMetric):
    """Mean over images and IoU thresholds 0.5, 0.55 .. 0.95 of F2, 5 TP / (5 TP + 4 FN + FP).

    An image without ships scores 1 where none is predicted, else 0.

    Source: https://www.kaggle.com/competitions/airbus-ship-detection/overview/evaluation
    """

    name = "airbus_f2"

    def ratio(self, tp: np.ndarray, fp: np.ndarray, fn: np.ndarray) -> np.ndarray:
        return ratio(5 * tp, 5 * tp + 4 * fn + fp, 1.0)


def shared_pixels(predicted: np.ndarray, labelled: np.ndarray) -> np.ndarray:
    """int64 (P + 1, L + 1): pixels that the instance p of one mask and l of another share; 0 is where none is."""
    (rows, height), (columns, width) = _without_gaps(predicted), _without_gaps(labelled)
    return np.bincount((rows * width + columns).ravel(), minlength=height * width).reshape(height, width)


def _without_gaps(instances: np.ndarray) -> tuple[np.ndarray, int]:
    """The same instances, numbered 1, 2, 3 …, and how many numbers there are with 0."""
    there = np.bincount(instances.ravel(), minlength=1) > 0
    there[0] = True
    place = np.cumsum(there) - 1
    return place[instances], int(place[-1]) + 1
