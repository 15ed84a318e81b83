"""How the logits of checkpoints and views become one probability."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from maskfold.errors import InferenceError
from maskfold.labels import LabelSpec

Values = TypeVar("Values", np.ndarray, Tensor)


@dataclass(frozen=True)
class Merge:
    """``vote(logits) -> maps`` that the weighted mean is of, and ``finish(mean) -> probability``."""

    vote: Callable[[Tensor], Tensor]
    finish: Callable[[Tensor], Tensor]


def build_merge(name: str, labels: LabelSpec) -> Merge:
    """The merge called ``name``, a key of `MERGES`, of logits (N, C, H, W) of ``labels``."""
    return MERGES[name](labels)


def _unchanged(maps: Tensor) -> Tensor:
    return maps


MERGES: dict[str, Callable[[LabelSpec], Merge]] = {
    "probabilities": lambda labels: Merge(labels.activate, _unchanged),
    "logits": lambda labels: Merge(_unchanged, labels.activate),
    "vote": lambda labels: Merge(labels.vote, _unchanged),
}


def mean_of_known(found: Iterable[tuple[float, Values | None]]) -> Values | None:
    """Weighted mean of ``(weight, values)``, of those that have values and weigh something; None if none does."""
    known = [(weight, values) for weight, values in found if values is not None and weight > 0]
    if not known:
        return None
    total = sum(weight for weight, _ in known)
    first, *others = [values * (weight / total) for weight, values in known]
    return sum(others, start=first)


def normalised_weights(weights: Sequence[float] | None, count: int) -> list[float]:
    """``count`` weights that sum to 1; None: all equal.

    Raises:
        InferenceError: another number of weights, negative or non-finite ones, or all zero.
    """
    if weights is None:
        return [1 / count] * count
    values = torch.tensor(list(weights), dtype=torch.float64)
    if len(values) != count or not values.isfinite().all() or (values < 0).any() or values.sum() <= 0:
        raise InferenceError(
            f"the weights of {count} checkpoints are {list(weights)}: give one for each, none negative, not all zero"
        )
    return (values / values.sum()).tolist()
