"""What losses share: one reading of logits and targets, means that skip what does not count, sums over ranks."""

from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple, get_args

import torch
from torch import Tensor, nn

from maskfold.errors import MaskfoldError
from maskfold.labels import Task


class SegmentationLoss(nn.Module):
    """A loss called ``loss(logits, target, valid=None, **targets)``.

    Attributes:
        task: decides how logits become probabilities: by a softmax where classes exclude each other (multiclass),
            else by a sigmoid for each channel.
        tasks: those that the loss is for.
        instead: the loss to take for others.
        needs: the further targets that it cannot do without.
    """

    tasks: ClassVar[tuple[Task, ...]] = get_args(Task)
    instead: ClassVar[str] = ""
    needs: ClassVar[frozenset[str]] = frozenset()

    def __init__(self, task: Task = "binary") -> None:
        super().__init__()
        if task not in self.tasks:
            hint = f"; take {self.instead}" if self.instead else ""
            raise MaskfoldError(f"this loss is for {' and '.join(self.tasks)} tasks and the task is {task}{hint}")
        self.task = task

    @property
    def exclusive(self) -> bool:
        """Whether each pixel has exactly one class."""
        return self.task == "multiclass"

    def probabilities(self, logits: Tensor) -> Tensor:
        """Softmax over exclusive classes, else the sigmoid of each channel."""
        return logits.softmax(dim=1) if self.exclusive else logits.sigmoid()

    def prepare(self, logits: Tensor, target: Tensor, valid: Tensor | None) -> "Pixels":
        """Check shapes and labels, compute in at least float32, and cut what does not count out of the graph.

        Args:
            logits: (N, C, H, W), any floating dtype; half precision becomes float32.
            target: (N, C, H, W) in [0, 1]; multiclass: classes (N, H, W), or soft labels (N, C, H, W). Any dtype.
            valid: bool (N, 1, H, W) or (N, H, W), False where a pixel does not count, whatever stands in the
                logits and the target there; None: all count.

        Raises:
            MaskfoldError: shapes that do not fit; on the CPU also labels out of range (on other devices the
                check would stall the device at every step).
        """
        if self.exclusive and target.ndim == 3:
            logits, classes, valid = self.prepare_classes(logits, target, valid)
            one_hot = torch.zeros_like(logits).scatter_(1, classes.unsqueeze(1), 1)
            return Pixels(logits, torch.where(valid, one_hot, 0), valid)
        logits = compute_dtype(logits)
        target = self._fitting(logits, target).to(logits.dtype)
        if valid is None:
            valid = torch.ones_like(target[:, :1], dtype=torch.bool)
        else:
            valid = as_valid(logits, valid)
            logits, target = torch.where(valid, logits, 0), torch.where(valid, target, 0)
        _check_soft(target)
        return Pixels(logits, target, valid)

    def prepare_classes(self, logits: Tensor, target: Tensor, valid: Tensor | None) -> "Pixels":
        """`prepare` for hard classes (N, H, W), kept as int64 of that shape (0 where they do not count)."""
        logits = compute_dtype(logits)
        target = self._fitting(logits, target)
        valid = torch.ones_like(target, dtype=torch.bool)[:, None] if valid is None else as_valid(logits, valid)
        classes = class_labels(target, valid, logits.shape[1])
        return Pixels(torch.where(valid, logits, 0), classes, valid)

    def _fitting(self, logits: Tensor, target: Tensor) -> Tensor:
        count, _, *size = logits.shape
        hard = (count, *size)
        if target.shape != logits.shape and (not self.exclusive or target.shape != hard):
            also = f" (soft labels) or {hard} (classes)" if self.exclusive else ""
            raise MaskfoldError(
                f"the target's shape is {tuple(target.shape)}: with such logits and a {self.task} task it must be "
                f"{tuple(logits.shape)}{also}"
            )
        return target


class Pixels(NamedTuple):
    """Logits and target in the one form the losses compute with. What does not count is 0 in both."""

    logits: Tensor  # (N, C, H, W) float32 or float64
    target: Tensor  # (N, C, H, W) of the same dtype, in [0, 1]; hard classes are one-hot
    valid: Tensor  # (N, 1, H, W) bool, false where a pixel does not count


def as_valid(logits: Tensor, valid: Tensor) -> Tensor:
    """Which pixels count, as bool (N, 1, H, W); MaskfoldError for another type or shape."""
    count, _, *size = logits.shape
    if valid.dtype != torch.bool or valid.shape not in ((count, *size), (count, 1, *size)):
        raise MaskfoldError(
            f"valid is {valid.dtype} of shape {tuple(valid.shape)}: expected torch.bool of shape {(count, 1, *size)}"
        )
    return valid.reshape(count, 1, *size)


def compute_dtype(logits: Tensor) -> Tensor:
    """float16 and bfloat16 as float32; float32 and float64 as they are."""
    if logits.ndim != 4 or not logits.is_floating_point():
        raise MaskfoldError(
            f"the logits are {logits.dtype} of shape {tuple(logits.shape)}: expected floats (N, C, H, W)"
        )
    return logits.float() if logits.dtype in (torch.float16, torch.bfloat16) else logits


def class_labels(target: Tensor, valid: Tensor, classes: int) -> Tensor:
    """Hard classes (N, H, W) as int64, 0 where they do not count; MaskfoldError for others than 0 .. classes - 1."""
    target = torch.where(valid[:, 0], target, 0)
    labels = target.long()
    if labels.device.type == "cpu" and labels.numel():
        low, high = (int(extreme) for extreme in labels.aminmax())
        if low < 0 or high >= classes:
            raise MaskfoldError(
                f"the target holds class {low if low < 0 else high}: expected 0 to {classes - 1} for "
                f"{classes} logit channels; mark what does not count in valid"
            )
        if target.is_floating_point() and not torch.equal(labels.to(target.dtype), target):
            raise MaskfoldError("the target (N, H, W) holds fractions: give soft labels as (N, C, H, W)")
    return labels


def masked_mean(values: Tensor, counted: Tensor, dim: int | None = None) -> Tensor:
    """Mean of ``values`` where ``counted`` (bool, same shape), over ``dim`` or all; of nothing: 0."""
    kept = torch.where(counted, values, 0)
    if dim is None:
        return kept.sum() / counted.sum().clamp_min(1)
    return kept.sum(dim) / counted.sum(dim).clamp_min(1)


def mean_over_ranks(values: Tensor, counted: Tensor, mass: Tensor | None = None) -> Tensor:
    """Mean of ``values`` where ``counted`` over all processes, a scalar; of nothing: 0.

    ``counted`` is bool and may broadcast. A weighted mean takes weighted values and their weights ``mass``.
    """
    mass = torch.ones_like(values) if mass is None else mass
    total, count = sum_over_ranks(
        torch.stack([torch.where(counted, values, 0).sum(), torch.where(counted, mass, 0).sum()])
    )
    return total / torch.where(count > 0, count, 1)


def sum_over_ranks(values: Tensor) -> Tensor:
    """Sum ``values`` over the processes of data-parallel training, differentiably; alone: ``values``.

    Made for losses that every process computes alike from the summed values: after the usual mean of the
    gradients over processes, the network gets the gradient of one process with the whole batch. Without
    gradients (validation, where processes may have different numbers of batches) nothing is exchanged.
    """
    distributed = torch.distributed.is_available() and torch.distributed.is_initialized()
    if not distributed or torch.distributed.get_world_size() == 1 or not torch.is_grad_enabled():
        return values
    return _SumOverRanks.apply(values)


class _SumOverRanks(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        total = values.clone()
        torch.distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        # Every process has the same gradient here, so their sum needs no exchange.
        return gradient * torch.distributed.get_world_size()


def check_number(name: str, value: Any, low: float, high: float = float("inf")) -> float:
    """Return ``value`` if it is a number in [low, high], else raise MaskfoldError."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        upper = "" if high == float("inf") else f" to {high:g}"
        kind = f"from {low:g}{upper}" if upper else f"of at least {low:g}"
        hint = " (YAML reads 1e-3 as text, 1.0e-3 as a number)" if isinstance(value, str) else ""
        raise MaskfoldError(f"{name} is {value!r}: expected a number {kind}{hint}")
    return value


def check_choice(name: str, value: Any, choices: Sequence[str]) -> str:
    """Return ``value`` if it is one of ``choices``, else raise MaskfoldError."""
    if value not in choices:
        raise MaskfoldError(f"{name} is {value!r}: expected {' or '.join(map(repr, choices))}")
    return value


def _check_soft(target: Tensor) -> None:
    if target.device.type != "cpu" or not target.numel():
        return
    low, high = target.aminmax()
    if not (low >= 0 and high <= 1):
        raise MaskfoldError(
            f"the target holds values from {low:g} to {high:g}: expected 0 to 1; "
            "divide masks of 0 and 255 by 255, and mark what does not count in valid"
        )
