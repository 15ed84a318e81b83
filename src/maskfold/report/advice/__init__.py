"""What to try next. Every rule looks at figures of the report, and quotes them."""

from collections.abc import Callable, Iterator

from maskfold.report.advice.advice import Advice
from maskfold.report.advice.ensemble import at_the_border, several_runs, untuned, views
from maskfold.report.advice.images import (
    borders_drawn_otherwise,
    calibration,
    empty_images,
    label_errors,
    labels_beside,
    lopsided_errors,
    lost_classes,
    small_objects,
    uneven_folds,
)
from maskfold.report.advice.training import averaging, missing_folds, overfitting, soft_labels, unfinished_rise
from maskfold.report.gather import Findings

__all__ = ["RULES", "Advice", "advise"]

RULES: tuple[Callable[[Findings], Iterator[Advice]], ...] = (
    missing_folds,
    untuned,
    at_the_border,
    views,
    unfinished_rise,
    overfitting,
    soft_labels,
    averaging,
    empty_images,
    small_objects,
    lopsided_errors,
    lost_classes,
    uneven_folds,
    calibration,
    several_runs,
    label_errors,
    labels_beside,
    borders_drawn_otherwise,
)


def advise(findings: Findings) -> list[Advice]:
    """The advice of all rules, in their order."""
    return [advice for rule in RULES for advice in rule(findings)]
