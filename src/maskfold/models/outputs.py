"""What a network returns."""

from typing import NamedTuple

from torch import Tensor

# The further output that prediction uses too.
PRESENCE = "presence"


class Outputs(NamedTuple):
    """The mask's logits (N, C, H, W), and further outputs by name.

    Training may use them all. Prediction uses ``presence`` alone: logits (N, C) of whether a class is in the image.
    """

    logits: Tensor
    aux: dict[str, Tensor]

    def named(self) -> dict[str, Tensor]:
        """All outputs by the names that loss terms use: ``mask`` for the logits."""
        return {"mask": self.logits, **self.aux}
