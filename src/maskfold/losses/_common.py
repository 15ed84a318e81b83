"""What losses share: one reading of logits and targets, means that skip ignored pixels, sums over ranks."""

from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn


class SegmentationLoss(nn.Module):
    """A loss called ``loss(logits, target, **extras)``; ``needs`` names the extras it cannot do without."""

    needs: ClassVar[frozenset[str]] = frozenset()


class Pixels(NamedTuple):
    """Logits and target in the one form the losses compute with. Ignored pixels are 0 in both."""

    logits: Tensor  # (N, C, H, W) float32 or float64; C = 1 is a binary problem
    target: Tensor  # (N, C, H, W) of the same dtype, in [0, 1]; hard classes are one-hot
    valid: Tensor  # (N, 1, H, W) bool, false where a pixel is ignored


def prepare(logits: Tensor, target: Tensor, ignore_index: int | None) -> Pixels:
    """Check shapes and labels, compute in at least float32, and cut ignored pixels out of the graph.

    Args:
        logits: (N, C, H, W), any floating dtype; half precision becomes float32.
        target: binary (C = 1): (N, 1, H, W) in [0, 1]; multi-class: classes (N, H, W) or soft labels
            (N, C, H, W). Any dtype. A pixel is ignored where the target (of any class) is ``ignore_index``.

    Raises:
        ValueError: shapes that do not fit; on the CPU also labels out of range (on other devices the check
            would stall the device at every step).
    """
    if target.ndim == 3:
        logits, classes, valid = prepare_classes(logits, target, ignore_index)
        one_hot = torch.zeros_like(logits).scatter_(1, classes.unsqueeze(1), 1)
        return Pixels(logits, torch.where(valid, one_hot, 0), valid)
    logits = compute_dtype(logits)
    target = check_target(logits, target).to(logits.dtype)
    valid = valid_pixels(target, ignore_index)
    if ignore_index is not None:
        logits, target = torch.where(valid, logits, 0), torch.where(valid, target, 0)
    _check_soft(target)
    return Pixels(logits, target, valid)


def prepare_classes(logits: Tensor, target: Tensor, ignore_index: int | None) -> Pixels:
    """`prepare` for hard classes (N, H, W), kept as int64 of that shape (0 where ignored)."""
    logits, target = compute_dtype(logits), check_target(logits, target)
    valid = valid_pixels(target, ignore_index)
    classes = class_labels(target, valid, logits.shape[1])
    return Pixels(torch.where(valid, logits, 0), classes, valid)


def compute_dtype(logits: Tensor) -> Tensor:
    """float16 and bfloat16 as float32; float32 and float64 as they are."""
    if logits.ndim != 4 or not logits.is_floating_point():
        raise ValueError(f"the logits are {logits.dtype} of shape {tuple(logits.shape)}: expected floats (N, C, H, W)")
    return logits.float() if logits.dtype in (torch.float16, torch.bfloat16) else logits


def check_target(logits: Tensor, target: Tensor) -> Tensor:
    """Return ``target`` if its shape fits the logits, else raise ValueError."""
    count, channels, *size = logits.shape
    hard = (count, *size)
    if target.shape != logits.shape and (channels == 1 or target.shape != hard):
        also = "" if channels == 1 else f" (soft labels) or {hard} (classes)"
        raise ValueError(
            f"the target's shape is {tuple(target.shape)}: with such logits it must be {tuple(logits.shape)}{also}"
        )
    return target


def valid_pixels(target: Tensor, ignore_index: int | None) -> Tensor:
    """Where a pixel counts, (N, 1, H, W) bool, for a target (N, H, W) or (N, C, H, W)."""
    target = target.unsqueeze(1) if target.ndim == 3 else target
    if ignore_index is None:
        return torch.ones_like(target[:, :1], dtype=torch.bool)
    if target.shape[1] > 1 and 0 <= ignore_index <= 1:
        raise ValueError(
            f"ignore_index is {ignore_index}, which is a soft label too: take one outside [0, 1], such as 255"
        )
    # A comparison in uint8 would wrap a negative ignore_index around.
    wide = target if target.is_floating_point() else target.long()
    valid = wide != ignore_index
    return valid if valid.shape[1] == 1 else valid.all(dim=1, keepdim=True)


def class_labels(target: Tensor, valid: Tensor, classes: int) -> Tensor:
    """Hard classes (N, H, W) as int64, 0 where ignored; ValueError for others than 0 .. classes - 1."""
    target = torch.where(valid[:, 0], target, 0)
    labels = target.long()
    if labels.device.type == "cpu" and labels.numel():
        low, high = (int(extreme) for extreme in labels.aminmax())
        if low < 0 or high >= classes:
            raise ValueError(
                f"the target holds class {low if low < 0 else high}: expected 0 to {classes - 1} for "
                f"{classes} logit channels, or ignore_index"
            )
        if target.is_floating_point() and not torch.equal(labels.to(target.dtype), target):
            raise ValueError("the target (N, H, W) holds fractions: give soft labels as (N, C, H, W)")
    return labels


def probabilities(logits: Tensor) -> Tensor:
    """Sigmoid for one channel (a softmax over it would be constant), softmax over several."""
    return logits.sigmoid() if logits.shape[1] == 1 else logits.softmax(dim=1)


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
    """Return ``value`` if it is a number in [low, high], else raise ValueError."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        upper = "" if high == float("inf") else f" to {high:g}"
        kind = f"from {low:g}{upper}" if upper else f"of at least {low:g}"
        hint = " (YAML reads 1e-3 as text, 1.0e-3 as a number)" if isinstance(value, str) else ""
        raise ValueError(f"{name} is {value!r}: expected a number {kind}{hint}")
    return value


def check_choice(name: str, value: Any, choices: Sequence[str]) -> str:
    """Return ``value`` if it is one of ``choices``, else raise ValueError."""
    if value not in choices:
        raise ValueError(f"{name} is {value!r}: expected {' or '.join(map(repr, choices))}")
    return value


def _check_soft(target: Tensor) -> None:
    if target.device.type != "cpu" or not target.numel():
        return
    low, high = target.aminmax()
    if not (low >= 0 and high <= 1):
        raise ValueError(
            f"the target holds values from {low:g} to {high:g}: expected 0 to 1 (or ignore_index); "
            "divide masks of 0 and 255 by 255"
        )
