"""Gates of the decoding chain: whether a class is in an image at all, decided before its pixels are.

What is ruled out moves by 2, below every threshold. Where classes exclude each other, a pixel then gets the most
probable one of the others; where all are ruled out, the most probable one all the same.
"""

from typing import ClassVar

import numpy as np

from maskfold.inference.decoding.steps import Step, Values

OUT = np.float32(2)


class Presence(Step):
    """A class is nowhere in an image whose presence of it is below ``value`` (compared in float32). 0: off."""

    stage = "gate"
    needs_presence = True
    tried: ClassVar[Values] = {"value": (0.0, 0.02, 0.05, *(round(0.1 * i, 1) for i in range(1, 10)))}
    title = "presence from which a class can be there"

    def __init__(self, value: float) -> None:
        self.value = value

    @property
    def idle(self) -> bool:
        return self.value == 0

    def __call__(self, layers: np.ndarray, image: np.ndarray | None, presence: float = 1) -> np.ndarray:
        return layers if np.float32(presence) >= np.float32(self.value) else layers - OUT


class Certain(Step):
    """A class is in an image only if at least ``area`` pixels have a probability of at least ``threshold``. 0: off.

    The pixels themselves are decided by the chain's own, lower threshold. With ``area`` 1 it is a rule on the largest
    probability.

    Source: the "triplet" of the winner of SIIM-ACR Pneumothorax Segmentation (2019), 0.75, 2000 of 1024 x 1024 pixels
    and 0.3, https://github.com/sneddy/pneumothorax-segmentation.
    """

    stage = "gate"
    tried: ClassVar[Values] = {
        "threshold": (0.0, *(round(0.5 + 0.05 * i, 2) for i in range(10))),
        "area": (0, 1, 25, 100, 400, 1600, 6400),
    }

    def __init__(self, threshold: float, area: int) -> None:
        self.threshold, self.area = threshold, area

    @property
    def idle(self) -> bool:
        return self.threshold == 0 or self.area == 0

    def __call__(self, layers: np.ndarray, image: np.ndarray | None) -> np.ndarray:
        there = np.count_nonzero(layers >= np.float32(self.threshold)) >= self.area
        return layers if there else layers - OUT


class TopMean(Step):
    """A class is in an image only if the mean of its ``pixels`` largest probabilities is at least ``threshold``.

    An image with fewer pixels gives the mean of all. 0, of either, is off.

    Source: the winner of Kaggle's Understanding Clouds from Satellite Images (2019).
    """

    stage = "gate"
    tried: ClassVar[Values] = {
        "threshold": (0.0, *(round(0.3 + 0.05 * i, 2) for i in range(14))),
        "pixels": (25, 100, 400, 1600, 6400, 25600),
    }

    def __init__(self, threshold: float, pixels: int) -> None:
        self.threshold, self.pixels = threshold, pixels

    @property
    def idle(self) -> bool:
        return self.threshold == 0 or self.pixels == 0

    def __call__(self, layers: np.ndarray, image: np.ndarray | None) -> np.ndarray:
        count = min(self.pixels, layers.size)
        largest = np.partition(layers, layers.size - count, axis=None)[-count:]
        return layers if np.float32(largest.mean(dtype=np.float64)) >= np.float32(self.threshold) else layers - OUT
