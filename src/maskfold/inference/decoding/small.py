"""Another threshold where little is predicted: small objects are seen less surely, or are more often false."""

from typing import ClassVar

import numpy as np

from maskfold.inference.decoding.steps import ONE_CLASS, Step, Values


class Small(Step):
    """Where the chain's threshold leaves a class fewer than ``area`` pixels, but some, ``threshold`` decides instead.

    A class that is nowhere stays so: that is what gates are for. With ``area`` 0 it is off.
    """

    stage = "decision"
    tried: ClassVar[Values] = {
        "threshold": tuple(round(0.1 + 0.05 * i, 2) for i in range(17)),
        "area": (0, 25, 100, 400, 1600, 6400),
    }

    def __init__(self, threshold: float, area: int) -> None:
        self.threshold, self.area = threshold, area

    @property
    def idle(self) -> bool:
        return self.area == 0

    def __call__(self, layers: np.ndarray, image: np.ndarray | None) -> np.ndarray:
        """uint8 (H, W) of 0 and 1, as `maskfold.inference.decoding.steps.Threshold`."""
        return ONE_CLASS.decide(layers[None], self.threshold)

    def applies(self, mask: np.ndarray) -> bool:
        """Whether it decides for a class of which the chain's threshold makes this mask (H, W)."""
        return 0 < int(np.count_nonzero(mask)) < self.area
