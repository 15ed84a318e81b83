"""From the name of a metric to the metric."""

import inspect
from collections.abc import Mapping
from typing import Any

from maskfold.errors import MaskfoldError
from maskfold.extension import load_named
from maskfold.labels import LabelSpec
from maskfold.metrics.competition import CompetitionMetric
from maskfold.metrics.function import FunctionMetric
from maskfold.metrics.gi_tract import GiTractMetric
from maskfold.metrics.miou import MeanIoUMetric
from maskfold.metrics.objects import AirbusF2Metric, DsbMapMetric
from maskfold.metrics.ratios import (
    DiceMetric,
    FBetaMetric,
    IoUMetric,
    PooledDiceMetric,
    PooledFBetaMetric,
    PooledIoUMetric,
)
from maskfold.metrics.tgs import TgsMapMetric

METRICS: dict[str, type[CompetitionMetric]] = {
    "dice": DiceMetric,
    "iou": IoUMetric,
    "miou": MeanIoUMetric,
    "f_beta": FBetaMetric,
    "pooled_dice": PooledDiceMetric,
    "pooled_iou": PooledIoUMetric,
    "pooled_f_beta": PooledFBetaMetric,
    "tgs_map": TgsMapMetric,
    "dsb_map": DsbMapMetric,
    "airbus_f2": AirbusF2Metric,
    "gi_tract": GiTractMetric,
}


def build_metric(name: str, labels: LabelSpec, options: Mapping[str, Any] | None = None) -> CompetitionMetric:
    """The metric of that name in `METRICS`, or anyone's own as ``package.module:Name``.

    One's own is a `CompetitionMetric`, or a function of a predicted mask and the true one, see `FunctionMetric`.

    Args:
        name: see above.
        labels: of the masks.
        options: arguments of the metric's constructor, or further ones of the function.

    Raises:
        MaskfoldError: no such metric (the nearest is named), neither of the two, options that it does not take, or one
            that does not score the task.
    """
    options = dict(options or {})
    made = load_named(name, METRICS, "metric", CompetitionMetric, functions=True)
    try:
        if isinstance(made, type):
            return made(labels, **options)
        inspect.signature(made).bind("mask", "truth", **options)
        return FunctionMetric(name.rpartition(":")[2], labels, made, options)
    except TypeError as error:
        raise MaskfoldError(f"the metric {name} cannot be made with the options {options}: {error}") from None
