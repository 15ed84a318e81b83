"""What a label is: a competition's classes, and which pixels count. No other file asks how many channels there are.

A *mask* is what is drawn, predicted and submitted: uint8, and by the task

- ``binary``: (H, W) of 0 and 1;
- ``multiclass``: (H, W) of classes 0 .. C - 1, exactly one for each pixel;
- ``multilabel``: (C, H, W) of 0 and 1, any number of classes for each pixel.

The tasks have the names of segmentation_models_pytorch. A network has one channel for each of ``class_names``.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from maskfold.errors import MaskfoldError

if TYPE_CHECKING:
    import torch

Task = Literal["binary", "multiclass", "multilabel"]
# Of more classes than these people are shown the first and the last, not a list of all.
MANY_CLASSES = 24
# Masks are uint8, and in files 255 stands for pixels that are not scored.
MOST_EXCLUSIVE = 255


@dataclass(frozen=True)
class Label:
    """The truth of one image.

    Attributes:
        values: a mask; or float32 (C, H, W), the share of each class in [0, 1]. 0 where a pixel does not count.
        valid: bool (H, W), the pixels that count in losses and metrics.
        instances: int32 (H, W), which object a pixel belongs to, see `maskfold.instances`; None where the objects of a
            class are not told apart.
    """

    values: np.ndarray
    valid: np.ndarray
    instances: np.ndarray | None = None

    @property
    def soft(self) -> bool:
        """Whether the values are shares of classes and not a mask."""
        return self.values.dtype.kind == "f"

    @classmethod
    def whole(cls, values: np.ndarray) -> "Label":
        """A label of which every pixel counts."""
        return cls(values, np.ones(values.shape[-2:], bool))


@dataclass(frozen=True)
class LabelSpec:
    """Which classes there are and whether they exclude each other.

    Attributes:
        task: see the module's text.
        class_names: binary: the foreground's name; multiclass: of classes 0 .. C - 1, the background first where
            there is one; multilabel: of all classes, without a background.

    Raises:
        MaskfoldError: an unknown task, a number of names that does not fit it (exclusive classes: at most 255), a name
            that occurs twice.
    """

    task: Task
    class_names: tuple[str, ...]

    def __post_init__(self) -> None:
        if self.task not in get_args(Task):
            raise MaskfoldError(f"the task is {self.task!r}: expected {', '.join(get_args(Task))}")
        count = len(self.class_names)
        if (count != 1) if self.task == "binary" else count < (2 if self.task == "multiclass" else 1):
            expected = {"binary": "one name", "multiclass": "two or more", "multilabel": "one or more"}[self.task]
            raise MaskfoldError(
                f"a {self.task} task has {count} class names {list(self.class_names)}: expected {expected}"
            )
        if self.exclusive and count > MOST_EXCLUSIVE:
            raise MaskfoldError(
                f"a multiclass task has {count} class names: expected at most {MOST_EXCLUSIVE}, since masks hold "
                "8 bits and 255 is what is not scored; name fewer, the rare ones as one class"
            )
        if len(set(self.class_names)) != count:
            raise MaskfoldError(f"the class names {', '.join(self.class_names)} are not distinct: name each class once")

    @property
    def channels(self) -> int:
        """Channels of the network's logits and of probabilities: one for each class name."""
        return len(self.class_names)

    @property
    def exclusive(self) -> bool:
        """Whether each pixel has exactly one class, so that the most probable one is decided for."""
        return self.task == "multiclass"

    @property
    def value_names(self) -> tuple[str, ...]:
        """Names of what a mask (or a layer of one) can hold, by value; multilabel: the classes, by layer."""
        if self.task != "binary":
            return self.class_names
        name = "foreground" if self.class_names == ("background",) else self.class_names[0]
        return ("background", name)

    @property
    def highest(self) -> int:
        """The largest value of a mask."""
        return self.channels - 1 if self.exclusive else 1

    def mask_shape(self, size: tuple[int, int]) -> tuple[int, ...]:
        """Shape of the mask of an image of ``size`` (H, W)."""
        return (self.channels, *size) if self.task == "multilabel" else tuple(size)

    def layers(self, mask: np.ndarray) -> np.ndarray:
        """Where each class is: bool (C, H, W) of a mask, one layer for each channel."""
        if self.exclusive:
            return mask == np.arange(self.channels, dtype=mask.dtype)[:, None, None]
        return (mask != 0).reshape(self.channels, *mask.shape[-2:])

    def shares(self, label: Label) -> np.ndarray:
        """The share of each class in a label, float32 (C, H, W): soft values as they are, 0 and 1 of a mask."""
        return label.values if label.soft else self.layers(label.values).astype(np.float32)

    def hard(self, label: Label) -> np.ndarray:
        """The mask of a label: soft values decided for at one half, or for the class with the largest share."""
        return self.decide(label.values) if label.soft else label.values

    def mask(self, layers: np.ndarray) -> np.ndarray:
        """The mask of bool or 0/1 layers (C, H, W): the inverse of `layers`."""
        if self.exclusive:
            return layers.argmax(0).astype(np.uint8)
        return np.ascontiguousarray(layers, dtype=np.uint8).reshape(self.mask_shape(layers.shape[-2:]))

    def value_layers(self, mask: np.ndarray) -> np.ndarray:
        """Where each of ``value_names`` is: bool (V, H, W); of a binary mask background and foreground."""
        layers = self.layers(mask)
        return np.concatenate([~layers, layers]) if self.task == "binary" else layers

    def differ(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """Where two masks are not the same in any class: bool (H, W)."""
        different = first != second
        return different.any(0) if self.task == "multilabel" else different

    def foreground(self, mask: np.ndarray) -> np.ndarray:
        """Where any class but a multiclass task's class 0 is: bool (H, W)."""
        there = mask != 0
        return there.any(0) if self.task == "multilabel" else there

    def activate(self, logits: "torch.Tensor") -> "torch.Tensor":
        """Probabilities of logits (N, C, H, W): softmax where classes exclude each other, else sigmoid."""
        return logits.softmax(1) if self.exclusive else logits.sigmoid()

    def decide(self, probability: np.ndarray, thresholds: float | Sequence[float] = 0.5) -> np.ndarray:
        """The mask of probabilities (C, H, W).

        Args:
            probability: float32, or uint8 v that stands for the float32 v / 255 and gives the same mask.
            thresholds: a class is there from this probability on (>=, compared in float32), one for all classes or
                one for each. Exclusive classes have none: the most probable class is chosen, the first of equals.
        """
        if self.exclusive:
            return probability.argmax(0).astype(np.uint8)
        levels = np.broadcast_to(np.asarray(thresholds, np.float32), (self.channels,))
        layers = [_reached(layer, level) for layer, level in zip(probability, levels, strict=True)]
        return layers[0] if self.task == "binary" else np.stack(layers)

    def logits(self, probability: "torch.Tensor") -> "torch.Tensor":
        """What `activate` makes probabilities (N, C, H, W) of; 0 and 1 count as 1e-7 away from them."""
        kept = probability.clamp(1e-7, 1 - 1e-7)
        return kept.log() if self.exclusive else kept.logit()

    def vote(self, logits: "torch.Tensor") -> "torch.Tensor":
        """Decisions of logits (N, C, H, W) as float 0 and 1: probability >= 0.5, or the most probable class."""
        if not self.exclusive:
            return (logits >= 0).float()
        first = logits.argmax(1, keepdim=True)
        return logits.new_zeros(logits.shape).scatter_(1, first, 1).float()

    def target(self, values: "torch.Tensor") -> "torch.Tensor":
        """What a batch holds of a `Label`'s values (H, W) or (C, H, W) as a tensor: integers while they are integers.

        Hard labels of exclusive classes: (H, W). Everything else: (C, H, W).
        """
        exclusive = self.exclusive and not values.is_floating_point()
        return values if exclusive else values.reshape(self.channels, *values.shape[-2:])

    def compared(self, target: "torch.Tensor") -> "torch.Tensor":
        """What losses compare logits with, of one `target` or a batch of them.

        Hard labels of exclusive classes: int64. Everything else: float32 in [0, 1].
        """
        return target.long() if self.exclusive and not target.is_floating_point() else target.float()


def _reached(probability: np.ndarray, level: np.float32) -> np.ndarray:
    if probability.dtype == np.uint8:
        return (np.arange(256, dtype=np.float32) / np.float32(255) >= level).astype(np.uint8)[probability]
    return (probability >= level).astype(np.uint8)
