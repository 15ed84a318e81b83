"""Scores of the ensemble, of other thresholds and minimum areas, and of each run alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np

from maskfold.competitions import Competition
from maskfold.config import TuneConfig
from maskfold.ensembling.choice import EnsembleChoice
from maskfold.ensembling.oof import OofImage
from maskfold.ensembling.tune import Grid, Setting, evaluate_grid
from maskfold.metrics import CompetitionMetric

THRESHOLDS = tuple(round(0.05 * i, 2) for i in range(1, 20))


@dataclass(frozen=True)
class Curve:
    """Score over the values of one setting, the others as chosen; ``by_fold``: fold -> the same of its images."""

    name: str
    values: np.ndarray
    scores: np.ndarray
    by_fold: dict[int, np.ndarray]
    chosen: float

    @property
    def best(self) -> float:
        """The value with the highest score."""
        return float(self.values[int(np.argmax(self.scores))])

    @property
    def gain(self) -> float:
        """By how much the best value scores above the chosen one, on these very images."""
        return float(self.scores.max() - self.scores[list(self.values).index(self.chosen)])


@dataclass(frozen=True)
class Scores:
    """Statistics (n, k) of the images: with the settings ``chosen``, with ``plain`` ones, of each run alone.

    Plain: equal weights, threshold 0.5, no minimum area. ``curves`` is empty where classes exclude each other.
    """

    metric: CompetitionMetric
    chosen: np.ndarray
    plain: np.ndarray
    alone: list[np.ndarray]
    curves: list[Curve]


def score_settings(
    images: Sequence[OofImage],
    competition: Competition,
    metric: CompetitionMetric,
    choice: EnsembleChoice,
    tried: TuneConfig,
) -> Scores:
    """Judge every setting on every image in one pass."""
    count = len(choice.checkpoints)
    total = sum(checkpoint.weight for checkpoint in choice.checkpoints)
    weights = tuple(checkpoint.weight / total for checkpoint in choice.checkpoints)
    chosen = Setting(weights, choice.threshold, choice.min_area)
    plain = Setting((1 / count,) * count)
    alone = [Setting(tuple(float(i == j) for j in range(count))) for i in range(count)]
    lines = _lines(chosen, tried) if not competition.labels.exclusive else {}
    # Settings of the same weights follow each other, so that an image's maps are read once for all of them.
    settings = sorted({chosen, plain, *alone, *chain(*lines.values())}, key=lambda s: s.weights)
    grid = evaluate_grid(images, competition, metric, settings, choice.fill_holes)
    folds = np.array([image.fold for image in images])
    return Scores(
        metric=metric,
        chosen=_stats(grid, chosen),
        plain=_stats(grid, plain),
        alone=[_stats(grid, setting) for setting in alone],
        curves=[_curve(name, line, grid, metric, folds, chosen) for name, line in lines.items()],
    )


def _lines(chosen: Setting, tried: TuneConfig) -> dict[str, list[Setting]]:
    thresholds = sorted({*THRESHOLDS, *tried.thresholds, chosen.threshold})
    areas = sorted({0, *tried.min_areas, chosen.min_area})
    return {
        "threshold": [Setting(chosen.weights, value, chosen.min_area) for value in thresholds],
        "min_area": [Setting(chosen.weights, chosen.threshold, value) for value in areas],
    }


def _stats(grid: Grid, setting: Setting) -> np.ndarray:
    return grid.stats[grid.settings.index(setting)]


def _curve(
    name: str, line: list[Setting], grid: Grid, metric: CompetitionMetric, folds: np.ndarray, chosen: Setting
) -> Curve:
    stats = np.stack([_stats(grid, setting) for setting in line])
    return Curve(
        name=name,
        values=np.array([getattr(setting, name) for setting in line]),
        scores=np.asarray(metric.score(stats)),
        by_fold={int(fold): np.asarray(metric.score(stats[:, folds == fold])) for fold in np.unique(folds)},
        chosen=getattr(chosen, name),
    )
