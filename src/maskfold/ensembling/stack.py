"""A fitted layer that puts several runs' probabilities together, as it stands in ``ensemble.yaml``: stacking.

Wolpert, "Stacked generalization", Neural Networks 5, 1992. The layer is a convolution of 3 x 3 pixels whose eight outer
weights are alike, so that it treats a mirrored image as the image: two numbers for each run, and a bias for each class.
So few are fitted surely to the pixels of the out-of-fold maps, and people can read them.
"""

from collections.abc import Sequence
from typing import Annotated

import cv2
import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from maskfold.metrics.temperature import logits_of, probabilities_of


class Stack(BaseModel):
    """A fitted layer.

    Attributes:
        own: of each run, the factor of a pixel's logit (or logarithm, where classes exclude each other).
        around: of each run, the factor of the mean logit of the 3 x 3 pixels around it.
        bias: of each class.
        exclusive: whether the classes exclude each other.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
    own: Annotated[tuple[float, ...], Field(min_length=1)]
    around: tuple[float, ...]
    bias: Annotated[tuple[float, ...], Field(min_length=1)]
    exclusive: bool

    @model_validator(mode="after")
    def _adds_up(self) -> "Stack":
        if len(self.own) != len(self.around):
            raise ValueError(f"a stack has {len(self.own)} factors of pixels and {len(self.around)} of what is around")
        return self

    def line(self) -> str:
        """The layer for people to read."""
        each = "; ".join(f"{own:+.2f} and {around:+.2f}" for own, around in zip(self.own, self.around, strict=True))
        return f"stacked: factors of each run's pixel and of those around it {each}"

    def __call__(self, maps: Sequence[np.ndarray]) -> np.ndarray:
        """The probability, float32 (C, H, W), of the maps of all runs, each float32 (C, H, W) in [0, 1]."""
        total = np.array(self.bias, np.float32)[:, None, None]
        for one, own, around in zip(maps, self.own, self.around, strict=True):
            logits, near = stack_inputs(one, exclusive=self.exclusive)
            total = total + np.float32(own) * logits + np.float32(around) * near
        return probabilities_of(total, exclusive=self.exclusive)


def stack_inputs(probability: np.ndarray, *, exclusive: bool) -> tuple[np.ndarray, np.ndarray]:
    """What the layer sees of a run's map (C, H, W): its logits, and their means over 3 x 3 pixels, float32.

    At the border the last pixels are repeated.
    """
    logits = logits_of(probability, exclusive=exclusive)
    near = [cv2.blur(layer, (3, 3), borderType=cv2.BORDER_REPLICATE) for layer in logits]
    return logits, np.stack(near)
