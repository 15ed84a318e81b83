"""What the course of training suggests."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from maskfold.config import Config
from maskfold.losses import default_loss
from maskfold.metrics.soft_loss import soft_loss
from maskfold.report.advice.advice import Advice, train_command
from maskfold.report.gather import Findings
from maskfold.runs.history import FoldHistory

# Region losses that are exact for hard labels only.
INNER_PRODUCTS = ("dice", "jaccard", "tversky")


def missing_folds(findings: Findings) -> Iterator[Advice]:
    """Folds that are not trained: their images are not scored, their networks do not vote."""
    for training in findings.trainings:
        trained = training.run.finished_folds()
        if set(training.folds) - set(trained):
            yield Advice(
                "Train the other folds",
                f"{training.run.name}: {len(trained)} of {len(training.folds)} folds are trained, so "
                f"{len(findings.table)} images are scored out of fold; every fold adds a network to the ensemble.",
                train_command(training.run),
            )


def unfinished_rise(findings: Findings) -> Iterator[Advice]:
    """The validation score still rises at the end: train for longer."""
    for training in findings.trainings:
        rises = [rise for fold in training.history if (rise := _late_rise(fold.scores)) is not None]
        if rises and np.mean(rises) >= 0.005:
            epochs = max(len(fold.epochs) for fold in training.history)
            yield Advice(
                "Train for longer",
                f"{training.run.name}: the best validation score still rises by {np.mean(rises):.4f} in the last "
                f"fifth of {epochs} epochs (mean over folds: {len(rises)}).",
                train_command(training.run, "longer", train__epochs=round(1.5 * epochs)),
            )


def overfitting(findings: Findings) -> Iterator[Advice]:
    """The validation score falls behind its best while the loss goes on falling."""
    for training in findings.trainings:
        folds = [fold for fold in training.history if len(fold.scores) >= 5]
        drops = [fold.scores.max() - fold.scores.iloc[-1] for fold in folds]
        early = [fold.scores.idxmax() / len(fold.epochs) for fold in folds]
        if folds and np.mean(drops) >= 0.01 and np.mean(early) <= 0.7 and all(map(_loss_falls, folds)):
            yield Advice(
                "Fight overfitting",
                f"{training.run.name}: the last epoch scores {np.mean(drops):.4f} below the best one, which comes "
                f"after {np.mean(early):.0%} of the epochs on average, while the training loss goes on falling. More "
                f"weight decay helps, or stronger augmentation than '{training.run.config.data.augment}' "
                "(data.augment), fewer epochs, averaged weights (averaging.ema).",
                train_command(training.run, "decay", optim__weight_decay=_more(training.run.config)),
            )


def soft_labels(findings: Findings) -> Iterator[Advice]:
    """Labels are soft, and a term of the loss is an inner product, which is smallest at 0 and 1, not at the label."""
    metric = findings.metric
    for training in findings.trainings:
        config = training.run.config
        names = [str(term["name"]) for term in config.loss or default_loss(metric.labels)]
        inner = [name for name in dict.fromkeys(names) if name in INNER_PRODUCTS]
        if config.soft_targets and inner:
            wanted = soft_loss(metric)
            form, fits = wanted[1]["name"], f", and it fits the metric {metric.name}" if metric.costs else ""
            yield Advice(
                "Use a loss for soft labels",
                f"{training.run.name}: the labels are shares of classes, and {' and '.join(inner)} in the loss, an "
                f"inner product, pushes probabilities to 0 or 1 and not to these shares. {form} is smallest where both "
                f"are equal{fits}; its authors mix it with a quarter of cross-entropy and train half as many epochs.",
                train_command(training.run, form, loss=wanted),
            )


def averaging(findings: Findings) -> Iterator[Advice]:
    """Nothing averages weights, or what averages them is worth keeping."""
    for training in findings.trainings:
        config = training.run.config
        if config.averaging.ema is None and config.averaging.swa_start is None and config.schedule.cycles == 1:
            swings = [fold.scores.diff().abs().tail(5).mean() for fold in training.history if len(fold.scores) > 5]
            if swings and np.mean(swings) >= 0.005:
                yield Advice(
                    "Average the weights",
                    f"{training.run.name}: the validation score moves by {np.mean(swings):.4f} from epoch to epoch "
                    "at the end, and no average of weights is kept.",
                    train_command(training.run, "ema", averaging__ema=0.99),
                )


def _more(config: Config) -> float:
    """Three times the weight decay, or some where there is none."""
    return round(3 * config.optim.weight_decay, 6) or 0.01


def _late_rise(scores: pd.Series) -> float | None:
    """By how much the best score so far rises in the last fifth of the epochs; None for a short history."""
    best = np.maximum.accumulate(np.asarray(scores, dtype=float))
    if len(best) < 5:
        return None
    return float(best[-1] - best[-1 - max(1, len(best) // 5)])


def _loss_falls(fold: FoldHistory) -> bool:
    """Whether the loss of the last fifth of the epochs is below that of the fifth before."""
    loss = fold.epochs["loss"].to_numpy()
    fifth = max(1, len(loss) // 5)
    return bool(loss[-fifth:].mean() < loss[-2 * fifth : -fifth].mean())
