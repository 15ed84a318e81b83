"""What a network returns."""

from typing import NamedTuple

from torch import Tensor

# The further output of whole images.
PRESENCE = "presence"


class Outputs(NamedTuple):
    """The mask's logits (N, C, H, W), and further outputs by name.

    Training may use them all. Prediction uses ``presence``, logits (N, C) of whether a class is in the image, and one
    of ``border`` and ``inner``, logits (N, 1, H, W) of whether objects touch there, or of how far inside of one it is.
    """

    logits: Tensor
    aux: dict[str, Tensor]

    def named(self) -> dict[str, Tensor]:
        """All outputs by the names that loss terms use: ``mask`` for the logits."""
        return {"mask": self.logits, **self.aux}
