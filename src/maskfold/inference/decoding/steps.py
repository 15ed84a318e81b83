"""Steps of the decoding chain: threshold, holes, minimum area; and what a step of one's own must be."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal, get_args

import numpy as np

from maskfold.labels import LabelSpec
from maskfold.rle import Runs, ops

Values = Mapping[str, Sequence[Any]]
Stage = Literal["probability", "gate", "decision", "mask", "instances"]
STAGES: tuple[Stage, ...] = get_args(Stage)  # in the order of the chain
ONE_CLASS = LabelSpec("binary", ("foreground",))


class Step(ABC):
    """One step of the decoding chain. Its options are the keyword arguments of the constructor.

    Attributes:
        stage: ``probability``: a step before the decision, which gets and returns probabilities, float32; ``mask``: a
            step after it, which gets and returns masks, uint8 of 0 and 1. ``decision`` is the thresholds', ``gate``
            that of steps right before it, which may move what they rule out below 0. ``instances``: the last step,
            which tells objects apart: it gets a mask and returns a mask of instances, int32, and is called with further
            arguments: ``probability``, float32 (H, W), and ``inside``, that of `maskfold.inference.Prediction`.
        each_class: whether the step works on one class at a time, on a layer (H, W). There is then an object for each
            class, so that every option may have a value for each. Otherwise one object gets all layers (C, H, W).
        needs_image: whether the step asks for the image; without, `None` is given.
        sees_rgb: whether the image comes as people see it, `maskfold.images.to_rgb`, and not with its stored values.
        needs_labels: whether the constructor takes ``labels`` as well, the competition's `LabelSpec`.
        reach: how far, in pixels, the result may depend on what is around a pixel: rasters are decoded in parts that
            overlap so much.
        needs_presence: whether the step asks for the presence; it is then called with a further argument ``presence``:
            the probability, float32, that its class is anywhere in the image, or (C,) those of all classes.
        tried: option -> the values that tuning tries, in ascending order where they have one.
        shown: option -> further values that a report shows.
        title: what a report calls the value of a step with one option.
    """

    stage: ClassVar[Stage] = "mask"
    each_class: ClassVar[bool] = True
    needs_image: ClassVar[bool] = False
    sees_rgb: ClassVar[bool] = False
    needs_labels: ClassVar[bool] = False
    needs_presence: ClassVar[bool] = False
    tried: ClassVar[Values] = {}
    shown: ClassVar[Values] = {}
    title: ClassVar[str] = ""

    @property
    def reach(self) -> int:
        """See the class."""
        return 128

    @property
    def idle(self) -> bool:
        """Whether it changes nothing, with the options that it has: the chain then does without it."""
        return False

    @abstractmethod
    def __call__(self, layers: np.ndarray, image: np.ndarray | None) -> np.ndarray:
        """The layer (H, W), or all layers (C, H, W), of the same shape as given.

        ``image`` (H, W, channels) has the layers' size, and the stored values unless ``sees_rgb``.
        """


class Threshold(Step):
    """The decision: a pixel is of the class from the probability ``value`` on (>=, compared in float32)."""

    stage = "decision"
    tried: ClassVar[Values] = {"value": tuple(round(0.2 + 0.05 * i, 2) for i in range(13))}
    shown: ClassVar[Values] = {"value": tuple(round(0.05 * i, 2) for i in range(1, 20))}
    title = "threshold"

    def __init__(self, value: float) -> None:
        self.value = value

    @property
    def reach(self) -> int:
        return 0

    def __call__(self, layers: np.ndarray, image: np.ndarray | None) -> np.ndarray:
        """uint8 (H, W) of 0 and 1; ``layers`` may be uint8 v that stands for the float32 v / 255."""
        return ONE_CLASS.decide(layers[None], self.value)


class FillHoles(Step):
    """Fills holes of at most ``value`` pixels: background (4 neighbours) that does not touch the border. 0: none."""

    tried: ClassVar[Values] = {"value": (0, 25, 100, 400)}
    shown: ClassVar[Values] = {"value": (0,)}
    title = "largest hole filled, in pixels"

    def __init__(self, value: int) -> None:
        self.value = value

    @property
    def reach(self) -> int:
        return self.value + 1  # a hole that is not larger ends within so many pixels

    @property
    def idle(self) -> bool:
        return self.value == 0

    def __call__(self, layers: np.ndarray, image: np.ndarray | None) -> np.ndarray:
        return fill_small_holes(layers, self.value)


class MinArea(Step):
    """Removes components (8 neighbours) of fewer than ``value`` pixels. 0 and 1: none."""

    tried: ClassVar[Values] = {"value": (0, 25, 50, 100, 200, 400)}
    shown: ClassVar[Values] = {"value": (0,)}
    title = "minimum area in pixels"

    def __init__(self, value: int) -> None:
        self.value = value

    @property
    def reach(self) -> int:
        return self.value

    @property
    def idle(self) -> bool:
        return self.value <= 1

    def __call__(self, layers: np.ndarray, image: np.ndarray | None) -> np.ndarray:
        return remove_small(layers, self.value)


def remove_small(mask: np.ndarray, min_area: int) -> np.ndarray:
    """The mask (H, W) uint8 0/1 without components (8 neighbours) of fewer than ``min_area`` pixels."""
    return ops.remove_small(Runs.of_mask(mask, "C"), min_area).mask()


def fill_small_holes(mask: np.ndarray, max_area: int) -> np.ndarray:
    """The mask (H, W) uint8 0/1 with holes (4 neighbours, off the border) of up to ``max_area`` pixels filled."""
    return ops.fill_small_holes(Runs.of_mask(mask, "C"), max_area).mask()
