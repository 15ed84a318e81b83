"""Transforms of images of 16 bits and of floats: albumentations wants their values in [0, 1]."""

from typing import Any

import albumentations as A
import numpy as np

from maskfold.images import ImageSpec

Transforms = list[A.BasicTransform | A.BaseCompose]


def in_units(transforms: Transforms, images: ImageSpec) -> Transforms:
    """The same transforms, for 16 bits and floats between two that turn values into float32 in [0, 1] and back."""
    if images.dtype == "uint8" or not transforms:
        return transforms
    return [_ToUnits(images), *transforms, _FromUnits(images)]


class _ToUnits(A.ImageOnlyTransform):
    """Stored values to float32, 1.0 where they reach the scale; what is outside [0, 1] is cut off."""

    def __init__(self, images: ImageSpec) -> None:
        super().__init__(p=1.0)
        self.images = images

    def apply(self, img: np.ndarray, **params: Any) -> np.ndarray:
        return (img.astype(np.float32) / np.float32(self.images.scale)).clip(0, 1)


class _FromUnits(A.ImageOnlyTransform):
    """The inverse of `_ToUnits`."""

    def __init__(self, images: ImageSpec) -> None:
        super().__init__(p=1.0)
        self.images = images

    def apply(self, img: np.ndarray, **params: Any) -> np.ndarray:
        values = img.astype(np.float32).clip(0, 1) * np.float32(self.images.scale)
        return values if self.images.dtype == "float32" else np.rint(values).astype(self.images.dtype)
