"""A weighted sum of losses whose weights may follow the epoch."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from maskfold.losses._common import SegmentationLoss


@dataclass(frozen=True)
class Term:
    """One loss of a mixture. Epochs count from 1, and both ends belong to the term."""

    name: str
    loss: SegmentationLoss
    weight: float = 1.0
    from_epoch: int = 1
    until_epoch: int | None = None  # null: to the end
    ramp_epochs: int = 0  # epochs in which the weight grows in equal steps to its full value
    output: int = 0  # which of the network's outputs it judges

    def weight_at(self, epoch: float) -> float:
        """The weight in ``epoch``, 0 where the term is not active."""
        if epoch < self.from_epoch or (self.until_epoch is not None and epoch >= self.until_epoch + 1):
            return 0.0
        if not self.ramp_epochs:
            return self.weight
        return self.weight * min(1.0, (epoch - self.from_epoch + 1) / self.ramp_epochs)


class MixedLoss(nn.Module):
    """``sum_k weight_k(epoch) loss_k``, over one or several outputs of a network.

    ``terms`` holds the values of the last call for the log, detached and unweighted, of the active terms
    only: a repeated name gets a number (``dice``, ``dice_2``). ``needs`` names the extras that any term asks
    for, active or not. An inactive term is not computed.

    Raises:
        ValueError: no terms, or an epoch in which none would be active.
    """

    def __init__(self, terms: Sequence[Term]) -> None:
        super().__init__()
        if not terms:
            raise ValueError("the loss has no terms: give at least one, such as {name: bce}")
        _check_gaps(terms)
        self._terms = dict(zip(_unique([term.name for term in terms]), terms, strict=True))
        self._losses = nn.ModuleList(term.loss for term in terms)  # so that .to(device) finds them
        self._outputs = 1 + max(term.output for term in terms)
        self.needs: set[str] = set().union(*(term.loss.needs for term in terms))
        self.terms: dict[str, Tensor] = {}
        self.set_epoch(1)

    def set_epoch(self, epoch: int | float) -> None:
        """Choose the weights of ``epoch``, counted from 1; fractions are for ramps within an epoch."""
        if epoch < 1:
            raise ValueError(f"the epoch is {epoch}: epochs count from 1")
        self._weights = {key: term.weight_at(epoch) for key, term in self._terms.items()}

    def forward(
        self, logits: Tensor | Sequence[Tensor], target: Tensor, valid: Tensor | None = None, **extras: Any
    ) -> Tensor:
        """The weighted sum, a scalar. ``logits`` is a list or tuple if the mixture is of several outputs."""
        outputs = [logits] if isinstance(logits, Tensor) else list(logits)
        if len(outputs) != self._outputs:
            raise ValueError(
                f"the network has {len(outputs)} outputs and the loss terms for {self._outputs}: "
                "give 'outputs' one list of terms for each"
            )
        missing = sorted(self.needs - extras.keys())
        if missing:
            raise ValueError(f"the batch lacks {', '.join(missing)}: the data set must make what loss.needs names")
        values = {
            key: self._terms[key].loss(outputs[self._terms[key].output], target, valid, **extras)
            for key, weight in self._weights.items()
            if weight > 0
        }
        self.terms = {key: value.detach() for key, value in values.items()}
        return torch.stack([self._weights[key] * value for key, value in values.items()]).sum()


def _unique(names: Sequence[str]) -> list[str]:
    """``[a, b, a]`` -> ``[a, b, a_2]``."""
    return [
        name if names[:i].count(name) == 0 else f"{name}_{names[:i].count(name) + 1}" for i, name in enumerate(names)
    ]


def _check_gaps(terms: Sequence[Term]) -> None:
    """Refuse schedules with an epoch without any term: better now than in the middle of a night."""
    starts = {1} | {term.until_epoch + 1 for term in terms if term.until_epoch is not None}
    for epoch in sorted(starts):
        if not any(term.weight_at(epoch) > 0 for term in terms):
            raise ValueError(
                f"no term of the loss is active in epoch {epoch}: "
                "check from_epoch, until_epoch (null: to the end) and the weights"
            )
