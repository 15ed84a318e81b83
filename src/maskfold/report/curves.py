"""Scores of the ensemble and of each run alone, and curves of them over the values of the decoding chain."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from maskfold.competitions import Competition
from maskfold.config import PostConfig, TuneConfig
from maskfold.ensembling.choice import EnsembleChoice
from maskfold.ensembling.oof import OofImage
from maskfold.ensembling.settings import Scorer, Setting
from maskfold.inference.decoding import Tunable, tunable_values
from maskfold.metrics import CompetitionMetric


@dataclass(frozen=True)
class Curve:
    """Score over the values of one step of the decoding chain, all else as chosen.

    Attributes:
        value: of the chain, whose values these are.
        values: ascending; they hold the one that is chosen.
        scores: of all images.
        by_fold: fold -> the same of its images.
        chosen: the value that is chosen.
    """

    value: Tunable
    values: np.ndarray
    scores: np.ndarray
    by_fold: dict[int, np.ndarray]
    chosen: float

    @property
    def name(self) -> str:
        """What the value is called in the config."""
        return self.value.name

    @property
    def title(self) -> str:
        """What people call it."""
        return self.value.title

    @property
    def best(self) -> float:
        """The value with the highest score."""
        return float(self.values[int(np.nanargmax(self.scores))])

    @property
    def gain(self) -> float:
        """By how much the best value scores above the chosen one, on these very images."""
        return float(np.nanmax(self.scores) - self.scores[list(self.values).index(self.chosen)])


@dataclass(frozen=True)
class Scores:
    """Statistics (n, k) of the images: with the settings ``chosen``, with ``plain`` ones, of each run alone.

    Plain: equal weights, and a decoding that does nothing but decide at 0.5 or for the most probable class.
    """

    metric: CompetitionMetric
    chosen: np.ndarray
    plain: np.ndarray
    alone: list[np.ndarray]
    curves: list[Curve]


def score_settings(
    images: Sequence[OofImage], competition: Competition, choice: EnsembleChoice, tune: TuneConfig
) -> Scores:
    """Score every setting on every image in one pass.

    There is a curve over every number of the decoding chain: those that tuning tries (``tune.tried``), those that the
    step shows, and the chosen one.
    """
    count = len(choice.runs)
    chosen = Setting.of(choice)
    plain = Setting(chosen.checkpoints, (1 / count,) * count, PostConfig())
    alone = [replace(plain, weights=tuple(float(i == j) for j in range(count))) for i in range(count)]
    presence = images[0].presence(chosen.mix) is not None
    values = tunable_values(choice.post, competition.labels, tune.tried, presence=presence)
    lines = {value: line for value in values if len(line := _line(value, chosen)) > 1}
    scorer = Scorer(images, competition)
    scorer.look([chosen, plain, *alone, *(setting for line in lines.values() for setting in line.values())])
    folds = np.array([image.fold for image in images])
    return Scores(
        metric=competition.metric,
        chosen=scorer.stats(chosen),
        plain=scorer.stats(plain),
        alone=[scorer.stats(setting) for setting in alone],
        curves=[_curve(value, line, scorer, folds, chosen) for value, line in lines.items()],
    )


def _line(value: Tunable, chosen: Setting) -> dict[Any, Setting]:
    values = {*value.shown, *value.tried, value.value(chosen.post)}
    if not all(isinstance(number, int | float) for number in values):
        return {}
    return {number: replace(chosen, post=value.moved(chosen.post, number)) for number in sorted(values)}


def _curve(value: Tunable, line: dict[Any, Setting], scorer: Scorer, folds: np.ndarray, chosen: Setting) -> Curve:
    stats = np.stack([scorer.stats(setting) for setting in line.values()])
    score = scorer.metric.score
    return Curve(
        value=value,
        values=np.array(list(line)),
        scores=np.asarray(score(stats)),
        by_fold={int(fold): np.asarray(score(stats[:, folds == fold])) for fold in np.unique(folds)},
        chosen=value.value(chosen.post),
    )
