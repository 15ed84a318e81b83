"""What is no longer a number, and which batch broke first: the images behind such a loss."""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor


def all_finite(values: Iterable[Tensor]) -> bool:
    """Whether tensors of one device hold finite numbers only; a GPU is waited for once."""
    return bool(torch.stack([torch.isfinite(value).all() for value in values]).all())


class FirstBroken:
    """Remembers, on the device, the first batch of an epoch whose loss was not finite; no step waits for it."""

    def __init__(self) -> None:
        self._batches: list[Sequence[str]] = []
        self._first: Tensor | None = None

    def look(self, ids: Sequence[str], loss: Tensor) -> None:
        """Look at the loss of a batch of these images."""
        broken = ~torch.isfinite(loss.detach()).all()
        first = torch.full_like(broken, -1, dtype=torch.int64) if self._first is None else self._first
        here = torch.full_like(first, len(self._batches))
        self._first = torch.where((first < 0) & broken, here, first)
        self._batches.append(ids)

    def ids(self) -> list[str]:
        """The images of the first such batch; none where all were finite."""
        place = -1 if self._first is None else int(self._first)
        return [] if place < 0 else list(self._batches[place])
