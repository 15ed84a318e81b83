"""Losses that are a mean over pixels: binary and multi-class cross-entropy."""

from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from maskfold.errors import MaskfoldError
from maskfold.labels import Task
from maskfold.losses._common import (
    SegmentationLoss,
    check_choice,
    check_number,
    compute_dtype,
    mean_over_ranks,
)


class BCEWithLogitsLoss(SegmentationLoss):
    """Binary cross-entropy, the mean over all pixels of the batch that count, and over the classes of multilabel.

    ``-(w y log p + (1 - y) log(1 - p))`` with ``p = sigmoid(logit)`` and ``w = pos_weight``, after smoothing
    the label: ``y + s (1/2 - y)``. An empty mask gives a plain, well-scaled gradient on every pixel.

    Args:
        task: binary, or multilabel: a sigmoid for each class.
        pos_weight: weight of the foreground part; above 1 favours recall.
        label_smoothing: ``s`` in [0, 1].
        smoothing: ``uniform`` smooths every pixel; ``boundary`` only those within ``boundary_radius`` pixels
            of the mask's outline (chessboard distance), where annotators disagree.
        boundary_radius: half width of the smoothed band in pixels.

    Shapes: logits (N, C, H, W); target the same, in [0, 1], of any dtype. Returns a scalar.

    Raises:
        MaskfoldError: a multiclass task (use `CrossEntropyLoss`), or an option out of range.
    """

    tasks: ClassVar[tuple[Task, ...]] = ("binary", "multilabel")
    instead: ClassVar[str] = "cross_entropy"

    def __init__(
        self,
        task: Task = "binary",
        pos_weight: float = 1.0,
        label_smoothing: float = 0.0,
        smoothing: Literal["uniform", "boundary"] = "uniform",
        boundary_radius: int = 1,
    ) -> None:
        super().__init__(task)
        self.pos_weight = check_number("pos_weight", pos_weight, 0)
        self.label_smoothing = check_number("label_smoothing", label_smoothing, 0, 1)
        self.smoothing = check_choice("smoothing", smoothing, ("uniform", "boundary"))
        self.boundary_radius = int(check_number("boundary_radius", boundary_radius, 1))

    def forward(self, logits: Tensor, target: Tensor, valid: Tensor | None = None, **targets: Any) -> Tensor:
        pixels = self.prepare(logits, target, valid)
        values = F.binary_cross_entropy_with_logits(
            pixels.logits,
            self._smoothed(pixels.target, pixels.valid),
            pos_weight=pixels.logits.new_full((), self.pos_weight),
            reduction="none",
        )
        return mean_over_ranks(values, pixels.valid)

    def _smoothed(self, target: Tensor, valid: Tensor) -> Tensor:
        if self.label_smoothing == 0:
            return target
        amount = self.label_smoothing
        if self.smoothing == "boundary":
            amount = amount * contrast(target, valid, self.boundary_radius)
        return target + amount * (0.5 - target)


def contrast(target: Tensor, valid: Tensor, radius: int) -> Tensor:
    """Largest minus smallest label within ``radius`` pixels: 1 along the outline of a mask, 0 elsewhere.

    Pixels that do not count make no outline. Shapes (N, C, H, W), ``valid`` (N, 1, H, W); ``target`` in [0, 1].
    """
    side = 2 * radius + 1
    highest = F.max_pool2d(torch.where(valid, target, 0), side, stride=1, padding=radius)
    lowest = -F.max_pool2d(-torch.where(valid, target, 1), side, stride=1, padding=radius)
    return (highest - lowest).clamp_min(0)


class CrossEntropyLoss(SegmentationLoss):
    """Softmax cross-entropy as `torch.nn.functional.cross_entropy` has it, the mean over valid pixels.

    As in torch, with hard classes and ``class_weights`` the mean is weighted by the weight of each pixel's
    class; with soft labels it is over pixels. Unlike torch's, a batch without valid pixels gives 0 and a
    zero gradient, and soft labels can be left out too.

    Args:
        task: multiclass, and no other.
        class_weights: one weight per class, or None; kept in float32.
        label_smoothing: share of the label spread evenly over all classes, in [0, 1].

    Shapes: logits (N, C, H, W); target classes (N, H, W) or soft labels (N, C, H, W). Returns a scalar.

    Raises:
        MaskfoldError: another task (use `BCEWithLogitsLoss`), classes or weights that do not fit.
    """

    tasks: ClassVar[tuple[Task, ...]] = ("multiclass",)
    instead: ClassVar[str] = "bce"
    class_weights: Tensor | None

    def __init__(
        self,
        task: Task = "multiclass",
        class_weights: Sequence[float] | None = None,
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__(task)
        self.label_smoothing = check_number("label_smoothing", label_smoothing, 0, 1)
        if class_weights is not None:
            if not isinstance(class_weights, Sequence) or not class_weights:
                raise MaskfoldError(f"class_weights is {class_weights!r}: expected a list, one number per class")
            class_weights = [check_number("a class weight", weight, 0) for weight in class_weights]
        weights = None if class_weights is None else torch.tensor(class_weights, dtype=torch.float32)
        # Moved with the loss: numbers that are copied to a device at every step would make the CPU wait for it.
        self.register_buffer("class_weights", weights, persistent=False)

    def forward(self, logits: Tensor, target: Tensor, valid: Tensor | None = None, **targets: Any) -> Tensor:
        weights = self._weights(logits)
        mass = None
        if target.ndim == 3:
            logits, target, valid = self.prepare_classes(logits, target, valid)
            mass = None if weights is None else weights[target]
        else:
            logits, target, valid = self.prepare(logits, target, valid)
        values = F.cross_entropy(logits, target, weights, reduction="none", label_smoothing=self.label_smoothing)
        return mean_over_ranks(values, valid[:, 0], mass)

    def _weights(self, logits: Tensor) -> Tensor | None:
        logits = compute_dtype(logits)
        channels = logits.shape[1]
        if self.class_weights is None:
            return None
        if len(self.class_weights) != channels:
            raise MaskfoldError(
                f"there are {len(self.class_weights)} class_weights and {channels} logit channels: "
                "give one weight per class"
            )
        return self.class_weights.to(logits)
