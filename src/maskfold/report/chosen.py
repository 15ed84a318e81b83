"""What predicts, how each part of it was chosen, and on which images."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from maskfold.ensembling.choice import EnsembleChoice
from maskfold.ensembling.tune import PARTS_OF_ONE_FOLD
from maskfold.inference.decoding import tunable_values

if TYPE_CHECKING:
    from maskfold.report.gather import Findings, Training

CONFIG, NONE = "the config", "none"


class Chosen(NamedTuple):
    """One part: what it is, its value, what it was chosen by, and on which images."""

    what: str
    value: str
    by: str
    on: str


def chosen_parts(findings: "Findings") -> list[Chosen]:
    """Checkpoints, weights, every value of the decoding chain and the views, in this order."""
    choice = findings.choice
    tuned = "tuning, cross-fitted" if choice.helped else "the config, which tuning did not beat"
    by = tuned if findings.tuned else CONFIG
    on = all_images(findings) if findings.tuned else NONE
    rows = []
    for training in findings.trainings:
        rows.append(Chosen(f"checkpoint of {training.run.name}", training.checkpoint, by, on))
        rows += _epochs(training)
    if len(findings.trainings) > 1:
        what, numbers = _together(choice)
        rows.append(Chosen(what, numbers, by, on))
    if choice.tta.view_weights is not None:
        shares = ", ".join(f"{weight:g}" for weight in choice.tta.view_weights)
        own = findings.trainings[0].run.config.tta.view_weights == choice.tta.view_weights
        rows.append(Chosen("weights of the views", shares, CONFIG if own else by, NONE if own else on))
    for what, value, values in _decoding(findings):
        rows.append(Chosen(what, value, f"{by}{values if findings.tuned else ''}", on))
    rows.append(Chosen("views and how they are merged", f"{choice.tta.views}, {choice.tta.merge}", CONFIG, NONE))
    return rows


def _together(choice: EnsembleChoice) -> tuple[str, str]:
    """What puts the runs together, and its numbers."""
    if choice.stack is None:
        return "weights of the runs", ", ".join(f"{weight:.2f}" for weight in choice.weights)
    factors = zip(choice.stack.own, choice.stack.around, strict=True)
    return "stack of the runs", ", ".join(f"{own:.2f} and around {around:.2f}" for own, around in factors)


def _decoding(findings: "Findings") -> Iterator[tuple[str, str, str]]:
    """Every value of the decoding chain: what it is called, it, and the values that tuning tries."""
    post, tried = findings.choice.post, findings.trainings[0].run.config.tune.tried
    presence = findings.presence is not None
    for value in tunable_values(post, findings.competition.labels, tried, presence=presence):
        found = value.value(post)
        values = f" of {', '.join(f'{each:g}' for each in value.tried)}" if _numbers(value.tried) else ""
        yield value.title, f"{found:g}" if isinstance(found, float) else str(found), values


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
