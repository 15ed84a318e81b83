"""The Lovász extension of the Jaccard loss: hinge and softmax, exact and sorted once.

Berman, Triki, Blaschko: The Lovász-Softmax loss (CVPR 2018, arXiv 1705.08790); the hinge: Yu, Blaschko,
Learning submodular losses with the Lovász hinge (ICML 2015).

Errors in descending order are weighted by what each pixel, once wrong, adds to the Jaccard loss. With U and I
the union and the intersection after taking the pixel, this is 1 / U for a foreground pixel and
I / (U (U - 1)) for a background pixel; without any foreground 1 for the first pixel and 0 for the others.
The usual difference of two neighbouring float32 Jaccard values loses three digits at 512 x 512.
"""

from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from maskfold.errors import MaskfoldError
from maskfold.labels import Task
from maskfold.losses._common import SegmentationLoss, check_choice, masked_mean
from maskfold.losses.lovasz_cpu import lovasz_weights_cpu


class LovaszHingeLoss(SegmentationLoss):
    """Lovász hinge: the convex surrogate of 1 - IoU, on logits. Errors are 1 - logit * (2 y - 1).

    Each class against the rest; the mean over classes, then over images. Pixels that do not count are removed
    before sorting; an image without any other leaves the mean. A soft label counts as foreground above 0.5. Where a
    mask is empty the loss is the largest error, so one pixel gets the whole gradient: ``skip_empty`` and
    ``hinge="elu+1"`` are the usual remedies.

    Args:
        task: binary, multiclass or multilabel, see `SegmentationLoss`.
        per_image: one set per image, then their mean (as competitions score); else one set per batch
            (of this process).
        hinge: "relu", or "elu+1": exp(e) instead of 0 below e = 0 and e + 1 above, so that pixels that are right
            by a margin keep a gradient.
        symmetric: mean of the loss and of that with foreground and background exchanged.
        skip_empty: sets without foreground leave the mean (of each half, if symmetric).

    A NaN logit makes the loss NaN; an infinite one does no harm on the right side of the margin.
    Half precision is computed in float32. Returns a scalar, 0 with zero gradient if nothing counts.
    """

    def __init__(
        self,
        task: Task = "binary",
        per_image: bool = True,
        hinge: Literal["relu", "elu+1"] = "relu",
        symmetric: bool = False,
        skip_empty: bool = False,
    ) -> None:
        super().__init__(task)
        self.per_image = per_image
        self.hinge = check_choice("hinge", hinge, ("relu", "elu+1"))
        self.symmetric = symmetric
        self.skip_empty = skip_empty

    def forward(self, logits: Tensor, target: Tensor, valid: Tensor | None = None, **targets: Any) -> Tensor:
        logits, labels, valid = self.prepare(logits, target, valid)
        foreground = labels > 0.5
        errors = 1 - logits * (2 * foreground.to(logits.dtype) - 1)
        if self.hinge == "elu+1":
            errors = torch.where(errors > 0, errors + 1, errors.clamp(max=0).exp())
        loss = _lovasz_loss(errors, foreground, valid, self.per_image, self.skip_empty)
        if not self.symmetric:
            return loss
        # Exchanging the classes and the logit's sign leaves the errors as they are.
        return (loss + _lovasz_loss(errors, valid & ~foreground, valid, self.per_image, self.skip_empty)) / 2


class LovaszSoftmaxLoss(SegmentationLoss):
    """Lovász-softmax: the Lovász extension of 1 - IoU on probabilities, errors |y - p|; the mean over classes.

    Of a binary task the only class is the foreground, number 1. A soft label counts as its class above 0.5. Pixels
    that do not count are removed before sorting; an image without any other leaves the mean.

    Args:
        task: binary or multiclass.
        classes: "present": those with a pixel among the ones that count, per image if ``per_image`` (so an image
            without foreground gives a one-logit network no gradient); "all"; or a list of class numbers.
        per_image: the loss of each image, then their mean; else one set per class over the batch
            (of this process).

    A NaN logit makes the loss NaN. Half precision is computed in float32. Returns a scalar, 0 with zero gradient
    if nothing counts.
    """

    tasks: ClassVar[tuple[Task, ...]] = ("binary", "multiclass")
    instead: ClassVar[str] = "lovasz_hinge"

    def __init__(
        self,
        task: Task = "binary",
        classes: Literal["present", "all"] | Sequence[int] = "present",
        per_image: bool = False,
    ) -> None:
        super().__init__(task)
        is_word = isinstance(classes, str)
        self.classes = check_choice("classes", classes, ("present", "all")) if is_word else list(classes)
        self.per_image = per_image

    def forward(self, logits: Tensor, target: Tensor, valid: Tensor | None = None, **targets: Any) -> Tensor:
        logits, labels, valid = self.prepare(logits, target, valid)
        channels = self._channels(logits.shape[1])
        foreground = labels > 0.5
        if self.exclusive:
            errors = (foreground.to(logits.dtype) - logits.softmax(dim=1)).abs()
        else:
            errors = torch.where(foreground, -logits, logits).sigmoid()
        return _lovasz_loss(
            errors[:, channels], foreground[:, channels], valid, self.per_image, self.classes == "present"
        )

    def _channels(self, count: int) -> slice | list[int]:
        if isinstance(self.classes, str):
            return slice(None)
        known = range(count) if self.exclusive else [1]
        if not self.classes or not set(self.classes) <= set(known):
            raise MaskfoldError(
                f"classes is {self.classes}: expected class numbers among {list(known)} for {count} logit channels"
            )
        return [known.index(number) for number in self.classes]


def lovasz_weights(errors: Tensor, foreground: Tensor) -> tuple[Tensor, Tensor]:
    """Values (R,) of the Lovász extension of the Jaccard loss, and its gradient (R, P): the pixels' weights.

    Only positive errors have a weight (the others are worth 0, as through a relu), and only they are sorted.
    Any device and dtype; the inner product makes a NaN error a NaN value.

    Args:
        errors: (R, P) floats, one set of pixels per row.
        foreground: (R, P) bool. A pixel outside the set has neither a positive error nor foreground.
    """
    positive = ~(errors <= 0)
    row, column = positive.nonzero(as_tuple=True)
    order = errors[row, column].argsort(descending=True)
    # Sorted by row again, stably: each row's errors descend, and `row` itself is as it was.
    column = column[order[row[order].argsort(stable=True)]]
    count = positive.sum(dim=1)
    start = (count.cumsum(0) - count)[row]
    is_foreground = foreground[row, column]
    seen = is_foreground.cumsum(0)
    seen = seen - (seen - is_foreground.long())[start]
    taken = torch.arange(1, len(row) + 1, device=row.device) - start
    intersection = foreground.sum(dim=1)[row] - seen
    union = (intersection + taken).to(errors.dtype)
    background = torch.where(union > 1, intersection / (union * (union - 1)), 1)
    weights = torch.zeros_like(errors)
    weights[row, column] = torch.where(is_foreground, 1 / union, background)
    return torch.where(positive, weights * errors, 0).sum(dim=1), weights


class _LovaszExtension(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, errors: Tensor, foreground: Tensor) -> Tensor:
        compiled = errors.device.type == "cpu" and errors.dtype == torch.float32
        values, weights = (lovasz_weights_cpu if compiled else lovasz_weights)(errors, foreground)
        ctx.save_for_backward(weights)
        return values

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (weights,) = ctx.saved_tensors
        return gradient.unsqueeze(1) * weights, None


def _lovasz_loss(errors: Tensor, foreground: Tensor, valid: Tensor, per_image: bool, present_only: bool) -> Tensor:
    """Mean over sets and classes of the Lovász extension of errors (N, C, H, W).

    Classes leave the mean in a set without a valid pixel or, if ``present_only``, without foreground.
    """
    errors, foreground, valid = (
        _sets(pixels, per_image) for pixels in (torch.where(valid, errors, 0), foreground, valid)
    )
    values = _LovaszExtension.apply(errors.flatten(0, 1), foreground.flatten(0, 1)).view(errors.shape[:2])
    counted = (foreground if present_only else valid).any(dim=2).expand_as(values)
    return masked_mean(masked_mean(values, counted, dim=1), counted.any(dim=1))


def _sets(pixels: Tensor, per_image: bool) -> Tensor:
    """(N, C, H, W) as (N, C, H W), or as (1, C, N H W)."""
    return pixels.flatten(2) if per_image else pixels.transpose(0, 1).flatten(1).unsqueeze(0)
