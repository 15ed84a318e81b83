"""What a study found: of every variant its figures, and how they differ from its baseline's."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from maskfold.errors import StudyError
from maskfold.metrics import PairedResult, bootstrap_interval, paired_bootstrap
from maskfold.metrics.bootstrap import FEWEST_GROUPS
from maskfold.studies.columns import Column
from maskfold.studies.plan import Plan
from maskfold.studies.scores import Scores, columns_of, score


@dataclass(frozen=True)
class Figure:
    """One column of a variant: its value, and the paired difference from the baseline; None: there is none."""

    value: float
    difference: PairedResult | None = None


@dataclass(frozen=True)
class Row:
    """A variant.

    Attributes:
        name: of the variant.
        against: its baseline; None: it has none.
        figures: of every column, the competition's score first.
        verdict: what the score says; empty without a baseline.
        out_of_fold: where the other figures are of test images, what the score is out of fold, and its 95 % interval.
        seconds: of training, the mean over folds and seeds.
        optimistic: whether its networks learned from some that saw the validation images.
    """

    name: str
    against: str | None
    figures: tuple[Figure, ...]
    verdict: str
    out_of_fold: tuple[float, float, float] | None
    seconds: float
    optimistic: bool


@dataclass(frozen=True)
class Results:
    """A study's table.

    Attributes:
        columns: names of the figures, the competition's metric first.
        lower: those of which less is better.
        rows: a row per variant.
        images: that were scored.
        groups: how many groups they form, which intervals are over.
        devices: that trained.
        missing: variants that something kept from their end.
        chosen: where there was a search, the options of its winner.
    """

    columns: tuple[str, ...]
    lower: tuple[str, ...]
    rows: tuple[Row, ...]
    images: int
    groups: int
    devices: tuple[str, ...]
    missing: tuple[str, ...]
    chosen: dict[str, Any] = field(default_factory=dict)


def gather(plan: Plan, names: Sequence[str]) -> Results:
    """The results of those variants of a study whose work is done.

    Raises:
        StudyError: there is none, or two variants that are compared were scored on different images.
    """
    study, columns = plan.study, columns_of(plan)
    if not names:
        raise StudyError("no variant of the study finished, for the reasons above: the same command tries again")
    found = {name: [score(plan, name, seed) for seed in study.seeds] for name in names}
    first = found[names[0]][0]
    rows = tuple(_row(plan, name, found, columns) for name in names)
    devices = {summary["device"] for name in names for summary in _summaries(plan, name)}
    return Results(
        columns=tuple(column.name for column in columns),
        lower=tuple(column.name for column in columns if column.lower),
        rows=rows,
        images=len(first.ids),
        groups=len(set(first.groups)),
        devices=tuple(sorted(devices)),
        missing=tuple(name for name in study.variants if name not in names),
    )


def _row(plan: Plan, name: str, found: dict[str, list[Scores]], columns: Sequence[Column]) -> Row:
    against = plan.study.against(name)
    if against not in found:
        against = None
    if against is not None:
        _refuse_other_images(name, found[name], against, found[against])
    figures = tuple(_figure(column, found[name], None if against is None else found[against]) for column in columns)
    difference = figures[0].difference
    folds, groups = len(plan.folds(name)), len(set(found[name][0].groups))
    all_folds = _fold_count(plan) if plan.study.truth is None else None
    verdict = "" if difference is None else judge(difference, folds, all_folds, groups)
    summaries = _summaries(plan, name)
    seconds = float(np.mean([summary["seconds"] for summary in summaries]))
    promised = _out_of_fold(columns[0], found[name])
    return Row(
        name, against, figures, verdict, promised, seconds, any(summary.get("optimistic") for summary in summaries)
    )


def _figure(column: Column, own: list[Scores], others: list[Scores] | None) -> Figure:
    ours = np.concatenate([scores.stats[column.name] for scores in own])
    value = float(column.score(ours))
    if others is None:
        return Figure(value)
    theirs = np.concatenate([scores.stats[column.name] for scores in others])
    groups = [group for scores in own for group in scores.groups]
    trials = [trial for trial, scores in enumerate(own) for _ in scores.ids]
    return Figure(value, paired_bootstrap(ours, theirs, column.score, groups=groups, trials=trials))


def _out_of_fold(column: Column, own: list[Scores]) -> tuple[float, float, float] | None:
    """The score and its interval over groups, all seeds together."""
    pairs = [(scores.out_of_fold, scores.fold_groups) for scores in own]
    rows = [stats for stats, _ in pairs if stats is not None]
    if not rows:
        return None
    stats, groups = np.concatenate(rows), [group for _, found in pairs for group in found]
    return float(column.score(stats)), *bootstrap_interval(stats, column.score, groups=groups)


def judge(found: PairedResult, folds: int, all_folds: int | None, groups: int) -> str:
    """Keep, drop, or how many more folds would decide, if the difference stayed what it is.

    The interval narrows with the square root of the images: where it must be q times as narrow to leave out 0, q² times
    as many folds are needed.

    Args:
        found: the difference of the score, more being better, and its 95 % interval.
        folds: that were scored.
        all_folds: that there are; None: the images do not depend on the folds.
        groups: of images (or images, where groups are not known) that the interval is over; of fewer than
            `FEWEST_GROUPS` it means little.
    """
    if math.isnan(found.low) or math.isnan(found.difference):
        return "undecided: one image or group tells nothing about others"
    shown = found.low > 0 or found.high < 0
    if shown and groups >= FEWEST_GROUPS:
        return "keep" if found.low > 0 else "drop"
    width = found.difference - found.low if found.difference > 0 else found.high - found.difference
    if found.difference == 0 or width >= 30 * abs(found.difference):
        return "undecided: no difference to speak of"
    if all_folds is None:
        return "undecided"
    narrower = 1.0 if shown else width / abs(found.difference)
    needed = max(folds + 1, math.ceil(folds * max(narrower**2, FEWEST_GROUPS / groups)))
    if needed <= all_folds:
        return f"undecided: {needed - folds} more fold{'s' * (needed - folds > 1)} would decide"
    return f"undecided: some {needed} folds would decide, there {'is' if all_folds == 1 else 'are'} {all_folds}"


def _fold_count(plan: Plan) -> int:
    return len(set(plan.run(plan.trained[0], plan.study.seeds[0]).folds()["fold"]))


def _summaries(plan: Plan, name: str) -> list[dict]:
    return [plan.run(name, seed).fold(fold).summary() for seed in plan.study.seeds for fold in plan.folds(name)]


def _refuse_other_images(name: str, own: list[Scores], against: str, others: list[Scores]) -> None:
    for mine, theirs in zip(own, others, strict=True):
        if mine.ids != theirs.ids:
            raise StudyError(
                f"{name} was scored on {len(mine.ids)} images and {against} on {len(theirs.ids)}, not the same: give "
                "both variants the same folds section"
            )
