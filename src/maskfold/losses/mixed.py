"""A weighted sum of losses whose weights may follow the epoch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from maskfold.errors import ConfigError
from maskfold.losses._common import SegmentationLoss

MASK = "mask"
PRESENCE = "presence"
# Outputs that are compared with a target of the same name.
OF_THEIR_OWN = (PRESENCE, "border", "inner")


@dataclass(frozen=True)
class Term:
    """One loss of a mixture. Epochs count from 1, and both ends belong to the term."""

    name: str
    loss: SegmentationLoss
    weight: float = 1.0
    output: str = MASK  # which of the network's outputs
    target: str = MASK  # which of the batch's targets it is compared with
    from_epoch: int = 1
    until_epoch: int | None = None  # None: to the end
    ramp_epochs: int = 0  # epochs in which the weight grows in equal steps to its full value

    def weight_at(self, epoch: float) -> float:
        """The weight in ``epoch``, 0 where the term is not active."""
        if self.until_epoch is not None and epoch >= self.until_epoch + 1:
            return 0.0
        return self.weight * ramp(epoch, self.from_epoch, self.ramp_epochs)

    def __call__(self, outputs: Mapping[str, Tensor], targets: Mapping[str, Tensor], valid: Tensor | None) -> Tensor:
        """The loss, unweighted, with what it needs beside its target."""
        logits = _named(
            "output",
            self,
            self.output,
            outputs,
            "model.deep_supervision: n makes deep_1 to deep_n, model.presence: true makes presence, "
            "model.instances makes border or inner",
        )
        target = _named("target", self, self.target, targets, "the dataset makes them")
        needed = {name: _named("target", self, name, targets, "the dataset makes them") for name in self.loss.needs}
        if self.output == PRESENCE:
            logits, target, valid = _one_pixel(logits, target, valid)
        return self.loss(logits, target, valid=valid, **needed)


def ramp(epoch: float, first: int, length: int) -> float:
    """0 before the epoch ``first``; in ``length`` epochs from it on, growing in equal steps to 1 (0: at once)."""
    if epoch < first:
        return 0.0
    return min(1.0, (epoch - first + 1) / length) if length else 1.0


class MixedLoss(nn.Module):
    """``sum_k weight_k(epoch) loss_k`` over named outputs of a network and named targets.

    ``needs`` names the targets beside the mask that any term asks for, active or not, ``mask_needs`` those that the
    terms of the mask ask for. An inactive term is not computed.

    Raises:
        ConfigError: no terms, or an epoch in which none would be active.
    """

    def __init__(self, terms: Sequence[Term]) -> None:
        super().__init__()
        if not terms:
            raise ConfigError("the loss has no terms: give at least one, such as {name: bce}")
        _check_gaps(terms)
        self._terms = dict(zip(_unique([_label(term) for term in terms]), terms, strict=True))
        self._losses = nn.ModuleList(term.loss for term in terms)  # so that .to(device) finds them
        self.needs: set[str] = set().union(*({term.target, *term.loss.needs} for term in terms)) - {MASK}
        of_mask = [term for term in terms if (term.output, term.target) == (MASK, MASK)]
        self.mask_needs: set[str] = set().union(*(term.loss.needs for term in of_mask))
        self.set_epoch(1)

    def check_length(self, epochs: int) -> None:
        """Refuse terms that a training of so many epochs never reaches.

        Raises:
            ConfigError: names them.
        """
        late = [
            f"{name} (from_epoch {term.from_epoch})" for name, term in self._terms.items() if term.from_epoch > epochs
        ]
        if late:
            raise ConfigError(
                f"terms of the loss would never be used: {', '.join(late)}; training has {epochs} epochs, so let them "
                "start earlier or leave them out"
            )

    def set_epoch(self, epoch: int | float) -> None:
        """Choose the weights of ``epoch``, counted from 1; fractions are for ramps within an epoch."""
        if epoch < 1:
            raise ValueError(f"the epoch is {epoch}: epochs count from 1")
        self._weights = {key: term.weight_at(epoch) for key, term in self._terms.items()}

    def forward(
        self, outputs: Mapping[str, Tensor], targets: Mapping[str, Tensor], valid: Tensor | None = None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The weighted sum and its terms.

        Args:
            outputs: logits (N, C, H, W) by name, ``mask`` and those that terms name; ``presence`` is (N, C).
            targets: by name, ``mask`` and those that terms and their losses name; ``presence`` is (N, C).
            valid: bool (N, 1, H, W), the pixels that count; None: all. An image without any counts in no term.

        Returns:
            The sum, a scalar; and the active terms by name for the log, detached and unweighted. A term of another
            output than ``mask`` is named after both (``deep_1_bce``), a repeated name gets a number (``dice_2``).

        Raises:
            ConfigError: an output or a target that a term names is not there.
        """
        values = {key: self._terms[key](outputs, targets, valid) for key, weight in self._weights.items() if weight > 0}
        total = torch.stack([self._weights[key] * value for key, value in values.items()]).sum()
        return total, {key: value.detach() for key, value in values.items()}

    def of_mask(self, logits: Tensor, targets: Mapping[str, Tensor], valid: Tensor | None = None) -> Tensor | None:
        """The weighted sum of those active terms that compare the output ``mask`` with the target ``mask``.

        Args:
            logits: (N, C, H, W), of the mask.
            targets: ``mask``, and what ``mask_needs`` names.
            valid: bool (N, 1, H, W), the pixels that count; None: all.

        Returns:
            A scalar; None where no such term is active.
        """
        terms = [(self._terms[key], weight) for key, weight in self._weights.items() if weight > 0]
        own = [(term, weight) for term, weight in terms if (term.output, term.target) == (MASK, MASK)]
        values = [weight * term({MASK: logits}, targets, valid) for term, weight in own]
        return torch.stack(values).sum() if values else None


def _named(what: str, term: Term, name: str, found: Mapping[str, Tensor], advice: str) -> Tensor:
    if name not in found:
        raise ConfigError(f"the loss term {term.name} is of the {what} {name}: there are {', '.join(found)} ({advice})")
    return found[name]


def _one_pixel(logits: Tensor, target: Tensor, valid: Tensor | None) -> tuple[Tensor, Tensor, Tensor | None]:
    """What is of whole images (N, C) as maps of one pixel, which counts where any pixel of the image does."""
    counts = None if valid is None else valid.flatten(1).any(1)[:, None, None, None]
    return logits[..., None, None], target[..., None, None], counts


def _label(term: Term) -> str:
    return term.name if term.output == MASK else f"{term.output}_{term.name}"


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
            raise ConfigError(
                f"no term of the loss is active in epoch {epoch}: "
                "check from_epoch, until_epoch (null: to the end) and the weights"
            )
