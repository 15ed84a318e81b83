"""What predicts, how each part of it was chosen, and on which images."""

from typing import TYPE_CHECKING, NamedTuple

from maskfold.ensembling.tune import PARTS_OF_ONE_FOLD
from maskfold.inference.decoding import tunable_values

if TYPE_CHECKING:
    from maskfold.report.gather import Findings, Training

CONFIG = "the config"


class Chosen(NamedTuple):
    """One part: what it is, its value, what it was chosen by, and on which images."""

    what: str
    value: str
    by: str
    on: str


def chosen_parts(findings: "Findings") -> list[Chosen]:
    """Checkpoints, weights, every value of the decoding chain and the views, in this order."""
    choice = findings.choice
    several = len(findings.trainings) > 1
    tuned = "tuning, cross-fitted" if choice.helped else "the config, which tuning did not beat"
    by = tuned if findings.tuned else CONFIG
    on = all_images(findings) if findings.tuned else "none"
    rows = []
    for training in findings.trainings:
        rows.append(Chosen(f"checkpoint of {training.run.name}", training.checkpoint, by, on))
        rows += _epochs(training)
    if several:
        shares = ", ".join(f"{weight:.2f}" for weight in choice.weights)
        rows.append(Chosen("weights of the runs", shares, by, on))
    tried = findings.trainings[0].run.config.tune.tried
    presence = findings.presence is not None
    for value in tunable_values(choice.post, findings.competition.labels, tried, presence=presence):
        found = value.value(choice.post)
        values = f" of {', '.join(f'{each:g}' for each in value.tried)}" if _numbers(value.tried) else ""
        rows.append(Chosen(value.title, f"{found:g}" if isinstance(found, float) else str(found),
                           f"{by}{values if findings.tuned else ''}", on))  # fmt: skip
    rows.append(Chosen("views and how they are merged", f"{choice.tta.views}, {choice.tta.merge}", CONFIG, "none"))
    return rows


def all_images(findings: "Findings") -> str:
    """The out-of-fold images, and how they were parted so that the score is of settings chosen without the image."""
    table = findings.table
    folds = sorted(table["fold"].unique())
    named = ", ".join(map(str, folds))
    if len(folds) > 1:
        return f"{len(table):,} out-of-fold images of folds {named}; for the score, those of the other folds"
    parts = f"the other {PARTS_OF_ONE_FOLD - 1} of {PARTS_OF_ONE_FOLD} parts"
    return f"{len(table):,} validation images of fold {named}; for the score, {parts}"


def _epochs(training: "Training") -> list[Chosen]:
    """The epoch of ``best``, which each fold chose on its own validation images."""
    if training.checkpoint != "best":
        return []
    epochs = [f"{fold.scores.idxmax()} (fold {fold.fold})" for fold in training.history if len(fold.scores.dropna())]
    if not epochs:
        return []
    by = "training: highest score at threshold 0.5 or of the most probable class, no views"
    on = "each fold's own validation images, so scores of best are a little high"
    return [Chosen(f"epoch of best, {training.run.name}", ", ".join(epochs), by, on)]


def _numbers(values: tuple) -> bool:
    return bool(values) and all(isinstance(value, int | float) for value in values)
