"""What a network returns."""

from typing import NamedTuple

from torch import Tensor


class Outputs(NamedTuple):
    """The mask's logits (N, C, H, W), and further outputs by name, which training may use and prediction ignores."""

    logits: Tensor
    aux: dict[str, Tensor]

    def named(self) -> dict[str, Tensor]:
        """All outputs by the names that loss terms use: ``mask`` for the logits."""
        return {"mask": self.logits, **self.aux}
