"""Further figures of a study's table: of each a row of statistics per image, and the figure of any set of rows.

==================  ================================================================================================
column              what
==================  ================================================================================================
ece, sce, brier     calibration of probabilities before decoding, see `maskfold.metrics.CalibrationMetrics`; low is best
acc, miou_d, …      what `maskfold.metrics.SegmentationMetrics` computes of the masks, miou_i_worst5 and the like too
dice, iou, miou …   another competition's metric, by its name in `maskfold.metrics.METRICS` or ``package.module:Name``
==================  ================================================================================================
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from maskfold.instances import plain
from maskfold.labels import Label, LabelSpec
from maskfold.metrics import CalibrationMetrics, CompetitionMetric, SegmentationMetrics, build_metric, gathered_stats
from maskfold.metrics.bootstrap import Score
from maskfold.metrics.fine_grained import mask_counts, mean_c, mean_i, of_present
from maskfold.metrics.streaming import SCORES

BY_IMAGE = re.compile(r"m(iou|dice)_(i|c)(?:_worst([1-9]|[1-9]\d|100))?")
CALIBRATION = ("ece", "sce", "brier")
_Stats = Callable[[np.ndarray, np.ndarray, Label], np.ndarray]


def _stacked(ids: Sequence[str], found: Sequence[np.ndarray]) -> np.ndarray:
    return np.stack(found)


@dataclass(frozen=True)
class Column:
    """A figure.

    Attributes:
        name: as the study says it.
        stats: float64 (k,) of an image's probability (C, H, W) in [0, 1], its mask, and its label.
        score: the figure of a set of rows, (..., n, k) -> (...).
        lower: whether less is better.
        together: ids and what ``stats`` found of each image -> the rows (n, k).
    """

    name: str
    stats: _Stats
    score: Score
    lower: bool = False
    together: Callable[[Sequence[str], Sequence[np.ndarray]], np.ndarray] = _stacked


def build_column(name: str, labels: LabelSpec) -> Column:
    """A column by its name.

    Raises:
        MaskfoldError: no such figure (known metrics are listed), or one that does not score the task.
    """
    if name in CALIBRATION:
        return _calibration(name, labels)
    if (found := BY_IMAGE.fullmatch(name)) is not None:
        return _by_image(found, labels)
    if name in SegmentationMetrics(labels).compute():
        return _fine_grained(name, labels)
    return of_metric(build_metric(name, labels), name)


def of_metric(metric: CompetitionMetric, name: str) -> Column:
    """The column ``name`` of a competition's metric."""

    def stats(probability: np.ndarray, mask: np.ndarray, label: Label) -> np.ndarray:
        return metric.stats_of(mask, label)

    return Column(name, stats, metric.score, together=partial(gathered_stats, metric))


def _calibration(name: str, labels: LabelSpec) -> Column:
    def stats(probability: np.ndarray, mask: np.ndarray, label: Label) -> np.ndarray:
        found = CalibrationMetrics(labels)
        found.update(probability, label)
        return found.row()

    def score(rows: np.ndarray) -> np.ndarray | float:
        return _each_set(rows, lambda one: CalibrationMetrics.of_rows(labels, one).compute()[name])

    return Column(name, stats, score, lower=True)


def _fine_grained(name: str, labels: LabelSpec) -> Column:
    def stats(probability: np.ndarray, mask: np.ndarray, label: Label) -> np.ndarray:
        return mask_counts(labels, plain(mask), label.values, label.valid).ravel().astype(np.float64)

    def score(rows: np.ndarray) -> np.ndarray | float:
        return _each_set(rows, lambda one: SegmentationMetrics.of_counts(labels, one).compute()[name])

    return Column(name, stats, score)


def _by_image(found: re.Match[str], labels: LabelSpec) -> Column:
    """A mean over images, or over classes of their images: a row is the score of each class that the image has."""
    of_counts, mean, worst = SCORES[found[1]], {"i": mean_i, "c": mean_c}[found[2]], int(found[3] or 100)

    def stats(probability: np.ndarray, mask: np.ndarray, label: Label) -> np.ndarray:
        return of_present(mask_counts(labels, plain(mask), label.values, label.valid), of_counts)

    return Column(found[0], stats, lambda rows: _each_set(rows, lambda one: mean(one, worst)))


def _each_set(rows: np.ndarray, score: Callable[[np.ndarray], float]) -> np.ndarray | float:
    """``score`` of every set (n, k) of an array (..., n, k)."""
    sets = rows.reshape(-1, *rows.shape[-2:])
    return np.array([score(one) for one in sets]).reshape(rows.shape[:-2])[()]
