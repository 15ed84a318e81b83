"""How the logits of checkpoints and views become one probability."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from maskfold.errors import InferenceError


@dataclass(frozen=True)
class Merge:
    """``vote(logits) -> maps`` of which the weighted mean is taken, and ``finish(mean) -> probability``."""

    vote: Callable[[Tensor], Tensor]
    finish: Callable[[Tensor], Tensor]


def probabilities(logits: Tensor) -> Tensor:
    """Sigmoid of (N, 1, H, W), softmax over the classes of (N, C, H, W)."""
    return logits.sigmoid() if logits.shape[1] == 1 else logits.softmax(1)


def decisions(logits: Tensor) -> Tensor:
    """0 or 1: probability >= 0.5 for one channel, the most probable class (the lowest of equals) for several."""
    if logits.shape[1] == 1:
        return (logits >= 0).float()
    return F.one_hot(logits.argmax(1), logits.shape[1]).movedim(-1, 1).float()


def _unchanged(maps: Tensor) -> Tensor:
    return maps


MERGES = {
    "probabilities": Merge(probabilities, _unchanged),
    "logits": Merge(_unchanged, probabilities),
    "vote": Merge(decisions, _unchanged),
}


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
