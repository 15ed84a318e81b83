"""What training aims at: masks as they are, or shares of classes where nobody is certain.

A target is a probability per pixel and class, wherever it comes from. *Sources* change the label of an image at its
own size: other annotators, a teacher's maps. They are asked in turn, before scaling and augmentation, which move soft
values with the image. *Smoothing* comes last, on the crop, and leaves alone what is told of the mask beside it.
"""

from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

import cv2
import numpy as np

from maskfold.competitions import Sample, Samples
from maskfold.labels import Label, LabelSpec

if TYPE_CHECKING:
    from maskfold.datasets.dataset import Draw


class TargetSource(Protocol):
    """One source of targets. Data workers get a copy of it: it can be pickled, and has no state that matters."""

    def __call__(self, sample: Sample, label: Label, draw: "Draw") -> Label:
        """The label of a training image.

        Args:
            sample: the image.
            label: what the source before this one made, first of all the competition's mask.
            draw: epoch, place and repeat of the item. What is random is a function of these.

        Returns:
            A label of the same size; pixels that did not count may count, and the other way round.
        """
        ...


class ExtraImages(Protocol):
    """Images beside the competition's, which bring labels of their own; sources are not asked about them.

    Data workers get a copy, as of a `TargetSource`.

    Attributes:
        samples: the images.
        positive: bool (n,), of each whether its label has any foreground.
    """

    samples: Samples
    positive: np.ndarray

    def image(self, sample: Sample) -> np.ndarray:
        """One of the images, as `Competition.image` gives it."""
        ...

    def label(self, sample: Sample, size: tuple[int, int]) -> Label:
        """Its label, soft or a mask, at the image's ``size`` (H, W)."""
        ...


class Smoothing:
    """Labels that are less certain than the mask: along boundaries, everywhere, or both.

    Boundaries: each class is blurred by a Gaussian, over the pixels that count; so a straight boundary's label at
    distance d is Phi(d / sigma). Everywhere: (1 - uniform) y + uniform / K, K the number of classes, 2 for a sigmoid.

    Args:
        labels: the classes.
        uniform: share of the label that is given to all classes alike, in [0, 1).
        boundary: sigma of the Gaussian, in pixels of the crop; 0: none.

    Sources: Szegedy et al., CVPR 2016 (everywhere); Wang, Ning & Blaschko, NeurIPS 2023, arXiv 2302.05666 (boundaries).
    """

    def __init__(self, labels: LabelSpec, *, uniform: float = 0.0, boundary: float = 0.0) -> None:
        self.labels = labels
        self.uniform = uniform
        self.boundary = boundary

    def __call__(self, label: Label) -> Label:
        """The label with float32 values (C, H, W)."""
        shares = self.labels.shares(label)
        if self.boundary:
            shares = self._blurred(shares, label.valid)
        if self.uniform:
            classes = self.labels.channels if self.labels.exclusive else 2
            shares = (1 - self.uniform) * shares + np.float32(self.uniform / classes)
        return replace(label, values=np.where(label.valid, shares, 0).astype(np.float32))

    def _blurred(self, shares: np.ndarray, valid: np.ndarray) -> np.ndarray:
        counted = valid.astype(np.float32)
        weight = np.maximum(self._gaussian(counted), np.float32(1e-6))
        return np.stack([self._gaussian(layer * counted) / weight for layer in shares]).clip(0, 1)

    def _gaussian(self, layer: np.ndarray) -> np.ndarray:
        return cv2.GaussianBlur(layer, (0, 0), self.boundary, borderType=cv2.BORDER_REFLECT_101)
