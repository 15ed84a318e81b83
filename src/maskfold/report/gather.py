"""Everything that the page shows and the advice is derived from, gathered once."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from maskfold.board.board import Board
from maskfold.competitions import Competition
from maskfold.config import TTAConfig
from maskfold.ensembling.choice import EnsembleChoice
from maskfold.ensembling.finished import optimism
from maskfold.ensembling.oof import OofImage, candidate_table, groups_of, oof_images
from maskfold.metrics import CompetitionMetric, Evaluation
from maskfold.report.beside import Beside, look_beside
from maskfold.report.curves import Scores, score_settings
from maskfold.report.pixels import Survey, survey_images
from maskfold.report.score_tables import (
    calibration_table,
    coverage_table,
    failed_by_all,
    run_table,
)
from maskfold.runs import Run
from maskfold.runs.history import FoldHistory, ends_of_cycles, read_history
from maskfold.scoring.label_shift import LabelShift, measure_label_shift
from maskfold.scoring.medals import WORTH, medal_lines, placed


@dataclass(frozen=True)
class Training:
    """What one run's training left behind. ``folds``: those of its folds.csv."""

    run: Run
    checkpoint: str
    history: list[FoldHistory]
    cycle_ends: list[int]
    candidates: pd.DataFrame
    folds: list[int]

    @property
    def with_views(self) -> pd.DataFrame:
        """Validation score of the stored checkpoints with the config's views: rows kinds, columns folds."""
        scores = {int(f.fold): f.summary.get("oof", {}) for f in self.history if f.fold != "all"}
        return pd.DataFrame(scores).dropna()


@dataclass(frozen=True)
class Findings:
    """Scores are those of the out-of-fold predictions of ``choice``; ``table`` has a row per image.

    Attributes:
        presence: id, name of the class, presence, labelled (whether the class is in the image); None: no network has
            such a head.
        beside: what the board knows; None: nobody asked it.
    """

    trainings: list[Training]
    competition: Competition
    choice: EnsembleChoice
    metric: CompetitionMetric
    images: list[OofImage]
    scores: Scores
    survey: Survey
    table: pd.DataFrame
    groups: np.ndarray | None
    interval: tuple[float, float]
    coverage: pd.DataFrame
    calibration: pd.DataFrame
    runs: pd.DataFrame
    failed: list[int]
    label_shift: LabelShift | None
    presence: pd.DataFrame | None
    beside: Beside | None

    @property
    def score(self) -> float:
        """The competition's number, with the settings of ``choice``."""
        return float(self.metric.score(self.scores.chosen))

    @property
    def plain_score(self) -> float:
        """The same with equal weights, threshold 0.5 and no minimum area."""
        return float(self.metric.score(self.scores.plain))

    @property
    def tuned(self) -> bool:
        """Whether tune.py made the choice."""
        return bool(self.choice.scores)

    @property
    def note(self) -> str:
        """What must stand behind the scores."""
        return optimism([training.run for training in self.trainings])

    @property
    def calibration_error(self) -> float:
        """Calibration error of what is decided on: of its classes' probabilities, or of the class chosen."""
        return self.survey.calibration["chosen"].compute()["sce" if self.thresholded else "ece"]

    @property
    def hours(self) -> float:
        """Of training of all the runs' folds, times the processes of each."""
        summaries = [fold.summary for training in self.trainings for fold in training.history]
        return sum(summary.get("seconds", 0) * summary.get("processes", 1) for summary in summaries) / 3600

    @property
    def devices(self) -> list[str]:
        """Where the folds were trained."""
        folds = [fold.summary for training in self.trainings for fold in training.history]
        return list(dict.fromkeys(summary["device"] for summary in folds if "device" in summary))

    @property
    def medals(self) -> list[str]:
        """The closed board's lines, where the score would have stood, and what that is worth; nothing: not known."""
        medals = self.competition.profile.medals
        if medals is None or np.isnan(self.score):
            return []
        score = self.choice.score if self.choice.score is not None else self.score
        low, high = (end - self.score + score for end in self.interval)  # it is that of the settings, not cross-fitted
        return [placed(medals, score, low, high), medal_lines(medals), WORTH]

    @property
    def binary(self) -> bool:
        """Whether there is one class apart from the background."""
        return self.competition.labels.task == "binary"

    @property
    def thresholded(self) -> bool:
        """Whether masks come from a threshold, rather than from the most probable class."""
        return not self.competition.labels.exclusive


def gather(
    runs: Sequence[Run], competition: Competition, choice: EnsembleChoice, board: Board | None = None
) -> Findings:
    """Evaluate the out-of-fold predictions of runs; their maps are computed where they are missing.

    Args:
        runs: the report's.
        competition: theirs.
        choice: what predicts.
        board: of these runs and others; None: they are not looked at.

    Raises:
        InferenceError: no finished fold, or runs that validate different images.
        RunError: damaged files.
    """
    metric = competition.metric
    images = oof_images(runs, [[name] for name in choice.checkpoints], competition, _tta(runs, choice))
    scores = score_settings(images, competition, choice, runs[0].config.tune)
    survey = survey_images(images, competition, choice)
    ids = [image.id for image in images]
    found = groups_of(competition, ids, runs[0].config.folds)
    groups = None if found is None else np.array(found, dtype=object)
    per_image = metric.per_image(scores.chosen)
    alone = np.stack([metric.per_image(stats) for stats in scores.alone])
    return Findings(
        trainings=[_training(*each, competition) for each in zip(runs, choice.checkpoints, strict=True)],
        competition=competition,
        choice=choice,
        metric=metric,
        images=images,
        scores=scores,
        survey=survey,
        table=survey.images.assign(score=per_image, group=groups),
        groups=groups,
        interval=Evaluation(metric, ids, scores.chosen, groups).interval(),
        coverage=coverage_table(survey.images["coverage"].to_numpy(), per_image),
        calibration=calibration_table(survey.calibration["chosen"]),
        runs=run_table([run.name for run in runs], scores.alone, metric, groups),
        failed=failed_by_all(alone).tolist() if len(runs) > 1 else [],
        label_shift=measure_label_shift(images, choice, competition, [run.config for run in runs], groups=groups),
        presence=_presence(images, choice, competition, survey.labelled),
        beside=None if board is None else look_beside(board, list(runs)),
    )


def _presence(
    images: Sequence[OofImage], choice: EnsembleChoice, competition: Competition, labelled: np.ndarray
) -> pd.DataFrame | None:
    """See `Findings.presence`; ``labelled`` is bool (n, C)."""
    found = [image.presence(choice.mix) for image in images]
    names, rows = competition.labels.value_names[-competition.labels.channels :], []
    for image, presence, there in zip(images, found, labelled, strict=True):
        if presence is None:
            return None
        rows += [(image.id, *each) for each in zip(names, presence.tolist(), there.tolist(), strict=True)]
    return pd.DataFrame(rows, columns=["id", "name", "presence", "labelled"])


def _tta(runs: Sequence[Run], choice: EnsembleChoice) -> list[TTAConfig]:
    """How each run's maps are made: as tuned, or as in the run's own config."""
    return [choice.tta if choice.scores else run.config.tta for run in runs]


def _training(run: Run, checkpoint: str, competition: Competition) -> Training:
    history = read_history(run)
    return Training(
        run=run,
        checkpoint=checkpoint,
        history=history,
        cycle_ends=ends_of_cycles(run, history),
        candidates=candidate_table(run),
        folds=sorted(set(run.folds(competition)["fold"])),
    )
