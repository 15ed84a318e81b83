"""Jaccard metric, Dice semimetric and compatible Tversky losses: region losses made for soft labels.

Wang, Ning & Blaschko, NeurIPS 2023 (arXiv 2302.05666); Wang et al., MICCAI 2023 (arXiv 2303.16296).
"""

import torch
from torch import Tensor

from maskfold.labels import Task
from maskfold.losses._common import check_number
from maskfold.losses.region import Aggregation, Classes, RegionLoss


class _L1RegionLoss(RegionLoss):
    """Region loss whose counts come from the L1 norm, so that it is 0 exactly where p = y, for soft y too."""

    def counts(self, predicted: Tensor, target: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        # With |x| the L1 norm: (|p| + |y| - |p - y|) / 2 = sum min(p, y), and (|p| - |y| + |p - y|) / 2 =
        # sum max(p - y, 0); written pixel by pixel they lose no digits where p is close to y.
        difference = predicted - target
        return (
            torch.minimum(predicted, target).sum(2),
            difference.clamp_min(0).sum(2),
            (-difference).clamp_min(0).sum(2),
        )


class CompatibleTverskyLoss(_L1RegionLoss):
    """``1 - (I + s) / (I + alpha |p \\ y| + beta |y \\ p| + s)`` (arXiv 2303.16296).

    In L1 norms ``I = (|p| + |y| - |p - y|) / 2``, ``|p \\ y| = (|p| - |y| + |p - y|) / 2`` (false positives,
    weighed by ``alpha``) and ``|y \\ p|`` likewise (false negatives, ``beta``). For 0/1 labels this is the
    soft Tversky loss; for soft ones it is 0 exactly where p = y, which the inner-product form is not.

    An empty mask gives
    ``alpha P / (alpha P + s)``: close to 1 with hardly any gradient, so pair with (binary) cross-entropy.

    Args:
        task: binary, multiclass or multilabel, see `SegmentationLoss`.
        alpha, beta: weights of false positives and false negatives.
        smooth: ``s``.
        aggregation: ``D`` (the whole batch), ``I`` (per image) or ``C`` (per class over images): which
            pixels make one ratio, see `RegionLoss`. Choose what the competition scores.
        classes: ``present`` or ``all``, for hard and soft labels alike, see `RegionLoss`.

    Shapes: logits (N, C, H, W); target as for every loss. Returns a scalar in [0, 1].
    """

    def __init__(
        self,
        task: Task = "binary",
        alpha: float = 0.5,
        beta: float = 0.5,
        smooth: float = 1e-3,
        aggregation: Aggregation = "I",
        classes: Classes = "present",
    ) -> None:
        super().__init__(
            task,
            fp_weight=check_number("alpha", alpha, 0),
            fn_weight=check_number("beta", beta, 0),
            smooth=smooth,
            aggregation=aggregation,
            classes=classes,
        )


class JaccardMetricLoss(_L1RegionLoss):
    """``1 - (I + s) / (U + s)``, I and U = (|p| + |y| +- |p - y|) / 2 in L1 norms (arXiv 2302.05666).

    A metric on [0, 1]^n at smooth 0. It equals the soft Jaccard loss for 0/1 labels. Options as for
    `CompatibleTverskyLoss` (this is the one with alpha = beta = 1).
    """

    def __init__(
        self,
        task: Task = "binary",
        smooth: float = 1e-3,
        aggregation: Aggregation = "I",
        classes: Classes = "present",
    ) -> None:
        super().__init__(
            task,
            fp_weight=1,
            fn_weight=1,
            smooth=smooth,
            aggregation=aggregation,
            classes=classes,
        )


class DiceSemimetricLoss(_L1RegionLoss):
    """``1 - (2 I + s) / (|p| + |y| + s)`` with I = (|p| + |y| - |p - y|) / 2 in L1 norms (arXiv 2303.16296).

    It equals the soft Dice loss for 0/1 labels. Options as for `CompatibleTverskyLoss` (this is the one with
    alpha = beta = 0.5 and half the smooth).
    """

    def __init__(
        self,
        task: Task = "binary",
        smooth: float = 1e-3,
        aggregation: Aggregation = "I",
        classes: Classes = "present",
    ) -> None:
        super().__init__(
            task,
            fp_weight=0.5,
            fn_weight=0.5,
            smooth=check_number("smooth", smooth, 0) / 2,
            aggregation=aggregation,
            classes=classes,
        )
