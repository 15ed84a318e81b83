"""Losses of whole regions: Dice, Jaccard and Tversky as one ratio, and how it is averaged."""

from typing import Any, Literal

import torch
from torch import Tensor

from maskfold.errors import MaskfoldError
from maskfold.labels import Task
from maskfold.losses._common import (
    SegmentationLoss,
    check_choice,
    check_number,
    masked_mean,
    mean_over_ranks,
    sum_over_ranks,
)

Aggregation = Literal["D", "I", "C"]
Classes = Literal["present", "all"]


class RegionLoss(SegmentationLoss):
    """``(a FP + b FN) / (TP + a FP + b FN + s)`` of soft counts; subclasses define the letters.

    This is one minus the usual ratio ``(TP + s) / (TP + a FP + b FN + s)``, free of the cancellation near 0.

    Args:
        task: binary, multiclass or multilabel, see `SegmentationLoss`.
        fp_weight, fn_weight: ``a`` and ``b``.
        smooth: ``s``.
        aggregation: which pixels make one ratio. ``I``: each image's, per class; then the mean over the
            image's classes, then over images. ``C``: the same ratios, then the mean over the images of a
            class, then over classes. ``D``: those of the whole batch, per class; then the mean over classes.
            They mirror mIoU_I, mIoU_C and mIoU_D. Images without valid pixels leave every mean.
        classes: which exclusive classes (multiclass) enter the mean: those ``present`` in the label of the image
            (``D``: of the batch) with any value above 0, hard or soft, or ``all``. The classes of binary and
            multilabel tasks always count: that a class is not there is then what has to be predicted.
    """

    def __init__(
        self,
        task: Task,
        *,
        fp_weight: float,
        fn_weight: float,
        smooth: float,
        aggregation: Aggregation,
        classes: Classes,
    ) -> None:
        super().__init__(task)
        self.fp_weight, self.fn_weight = fp_weight, fn_weight
        self.smooth = check_number("smooth", smooth, 0)
        self.aggregation = check_choice("aggregation", aggregation, ("D", "I", "C"))
        self.classes = check_choice("classes", classes, ("present", "all"))

    def forward(self, logits: Tensor, target: Tensor, valid: Tensor | None = None, **targets: Any) -> Tensor:
        logits, target, valid = self.prepare(logits, target, valid)
        predicted = torch.where(valid, self.probabilities(logits), 0)
        counts = torch.stack(self.counts(predicted.flatten(2), target.flatten(2)))  # (3, N, C)
        if self.exclusive and self.classes == "present":
            counted = (target > 0).flatten(2).any(dim=2)
        else:
            counted = valid.flatten(1).any(dim=1, keepdim=True).expand_as(counts[0])
        return {"D": self._of_batch, "I": self._of_images, "C": self._of_classes}[self.aggregation](counts, counted)

    def counts(self, predicted: Tensor, target: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Soft TP, FP and FN, (N, C) each, of probabilities and labels (N, C, H * W): inner products."""
        both = predicted * target
        return both.sum(2), (predicted - both).sum(2), (target - both).sum(2)

    def ratio(self, counts: Tensor) -> Tensor:
        """The loss, (...), of TP, FP and FN (3, ...)."""
        right, false_positive, false_negative = counts
        wrong = self.fp_weight * false_positive + self.fn_weight * false_negative
        # Without smoothing, nothing wanted and nothing found is 0 / 0: no loss, and a finite gradient.
        return wrong / (right + wrong + self.smooth).clamp_min(1e-12)

    def _of_images(self, counts: Tensor, counted: Tensor) -> Tensor:
        return mean_over_ranks(masked_mean(self.ratio(counts), counted, dim=1), counted.any(dim=1))

    def _of_classes(self, counts: Tensor, counted: Tensor) -> Tensor:
        ratios = torch.where(counted, self.ratio(counts), 0)
        total, images = sum_over_ranks(torch.stack([ratios.sum(0), counted.sum(0).to(ratios.dtype)]))
        return masked_mean(total / images.clamp_min(1), images > 0)

    def _of_batch(self, counts: Tensor, counted: Tensor) -> Tensor:
        images = counted.sum(0, keepdim=True).to(counts.dtype)
        totals = sum_over_ranks(torch.cat([counts.sum(1), images]))  # (4, C)
        return masked_mean(self.ratio(totals[:3]), totals[3] > 0)


class DiceLoss(RegionLoss):
    """``1 - (2 I + s) / (P + Y + s)``: I = sum p y, P = sum p, Y = sum y (Milletari et al., 3DV 2016).

    With ``beta``: ``1 - ((1 + b^2) I + s) / (P + b^2 Y + s)``, one minus the soft F-beta score; b above 1
    favours recall. ``squared`` has sums of squares for P and Y, as in V-Net, and no beta: the loss would be
    smallest at p = b y. The inner product I makes it exact for 0/1 labels only; for soft ones see
    `DiceSemimetricLoss`.

    An empty mask gives ``P / (P + s)``: with smooth 1 it saturates near 1, and its gradient vanishes, as
    soon as a few pixels fire. Add BCE for those. With smooth 0 it is 1 with a zero gradient.

    Args:
        task: binary, multiclass or multilabel, see `SegmentationLoss`.
        smooth: ``s``; that of segmentation_models_pytorch is half of this one.
        per_image: one ratio per image, then the mean, as competitions score; false: one for the whole batch, in
            which false positives on an empty image cost next to nothing.
        squared, beta: see above.
        classes: ``present`` or ``all``, see `RegionLoss`. In a mean over ``all``, an absent class counts
            with what was wrongly predicted of it.

    Shapes: logits (N, C, H, W); target as for every loss. Returns a scalar in [0, 1].

    Raises:
        MaskfoldError: an option out of range, or ``squared`` with a beta other than 1.
    """

    def __init__(
        self,
        task: Task = "binary",
        smooth: float = 1.0,
        per_image: bool = True,
        squared: bool = False,
        beta: float = 1.0,
        classes: Classes = "present",
    ) -> None:
        check_number("beta", beta, 0)
        if squared and beta != 1:
            raise MaskfoldError(
                f"beta is {beta:g} and squared is true: the loss would be smallest at p = {beta:g} y, so give one of "
                "the two only"
            )
        share = 1 / (1 + beta**2)
        super().__init__(
            task,
            fp_weight=share,
            fn_weight=1 - share,
            smooth=share * check_number("smooth", smooth, 0),
            aggregation="I" if per_image else "D",
            classes=classes,
        )
        self.squared = squared

    def counts(self, predicted: Tensor, target: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        if not self.squared:
            return super().counts(predicted, target)
        difference = predicted - target
        return (
            (predicted * target).sum(2),
            (predicted * difference).sum(2),
            (-target * difference).sum(2),
        )


class JaccardLoss(RegionLoss):
    """``1 - (I + s) / (P + Y - I + s)``, one minus the soft intersection over union (Rahman & Wang, 2016).

    Options and empty masks as for `DiceLoss`; for soft labels see `JaccardMetricLoss`.
    """

    def __init__(
        self,
        task: Task = "binary",
        smooth: float = 1.0,
        per_image: bool = True,
        classes: Classes = "present",
    ) -> None:
        super().__init__(
            task,
            fp_weight=1,
            fn_weight=1,
            smooth=smooth,
            aggregation="I" if per_image else "D",
            classes=classes,
        )


class TverskyLoss(RegionLoss):
    """The mean of ``(1 - (TP + s) / (TP + alpha FP + beta FN + s)) ** gamma`` (Salehi et al., MLMI 2017).

    ``alpha`` weighs false positives and ``beta`` false negatives (publications differ). alpha = beta = 0.5
    is Dice (with half its smooth), 1 is Jaccard. Other values of gamma than 1 make the focal Tversky loss
    (Abraham & Khan, ISBI 2019; their exponent is 1 / gamma): above 1 it dwells on bad images, below 1 on
    good ones. The power is applied before any mean. Other options and empty masks as for `DiceLoss`; with
    alpha = 0 an empty mask costs nothing, whatever is predicted.
    """

    def __init__(
        self,
        task: Task = "binary",
        alpha: float = 0.5,
        beta: float = 0.5,
        gamma: float = 1.0,
        smooth: float = 1.0,
        per_image: bool = True,
        classes: Classes = "present",
    ) -> None:
        super().__init__(
            task,
            fp_weight=check_number("alpha", alpha, 0),
            fn_weight=check_number("beta", beta, 0),
            smooth=smooth,
            aggregation="I" if per_image else "D",
            classes=classes,
        )
        self.gamma = check_number("gamma", gamma, 0.01)

    def ratio(self, counts: Tensor) -> Tensor:
        loss = super().ratio(counts)
        if self.gamma == 1:
            return loss
        # Below the floor a straight line to 0: for gamma < 1 the power's slope there is infinite.
        floor = 1e-6
        return torch.where(loss > floor, loss.clamp_min(floor) ** self.gamma, loss * floor ** (self.gamma - 1))
