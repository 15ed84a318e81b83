"""Images and labels at another size: the rules by which they shrink and grow, with pixel centres that agree."""

from dataclasses import replace

import cv2
import numpy as np

from maskfold.labels import Label, LabelSpec

Size = tuple[int, int]


def scaled_size(size: Size, scale: float) -> Size:
    """(H, W) after scaling: rounded, at least one pixel."""
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def fit_image(image: np.ndarray, size: Size) -> np.ndarray:
    """(H, W, C) or (H, W) of uint8, uint16 or float32 at ``size`` (H, W): area average down, bilinear up.

    Where one side shrinks and the other grows, the one shrinks first. At its own size an image is returned as it is.
    """
    height, width = image.shape[:2]
    smaller = min(height, size[0]), min(width, size[1])
    return _resized(_resized(image, smaller, cv2.INTER_AREA), size, cv2.INTER_LINEAR)


def fit_label(label: Label, size: Size, labels: LabelSpec) -> Label:
    """A label at ``size`` (H, W); the pixel centres are those of `fit_image`.

    Soft values are resized like an image, as a mean over the pixels that count. Of
    masks, exclusive classes go by nearest neighbour; others are resized like an image class by class and cut at one
    half, which keeps the area of thin shapes that nearest neighbour would break up. What counts goes by nearest
    neighbour, and so do the numbers of instances.
    """
    if label.valid.shape == tuple(size):
        return label
    fitted = _fitted(label, size, labels)
    if label.instances is None:
        return fitted
    numbers = _resized(label.instances.astype(np.float32), size, cv2.INTER_NEAREST_EXACT)  # OpenCV resizes no int32
    return replace(fitted, instances=numbers.astype(np.int32))


def _fitted(label: Label, size: Size, labels: LabelSpec) -> Label:
    """Without instances."""
    valid = _resized(label.valid.view(np.uint8), size, cv2.INTER_NEAREST_EXACT).view(bool)
    if label.soft:
        counted = np.where(valid, fit_image(label.valid.astype(np.float32), size), np.float32(1))
        layers = [fit_image(layer, size) / counted for layer in label.values]
        return Label(np.where(valid, np.stack(layers), np.float32(0)).clip(0, 1), valid)
    if labels.exclusive:
        return Label(_resized(label.values, size, cv2.INTER_NEAREST_EXACT), valid)
    shares = [fit_image(np.where(layer, np.uint8(200), np.uint8(0)), size) for layer in labels.layers(label.values)]
    return Label(labels.mask(np.stack([(share >= 100) & valid for share in shares])), valid)


def _resized(image: np.ndarray, size: Size, how: int) -> np.ndarray:
    height, width = size
    if image.shape[:2] == (height, width):
        return image
    # OpenCV averages areas of at most four channels, and drops an axis of one.
    groups = np.split(image, range(4, image.shape[2], 4), axis=2) if image.ndim == 3 else [image]
    resized = [cv2.resize(group, (width, height), interpolation=how) for group in groups]
    return np.concatenate([np.atleast_3d(part) for part in resized], axis=2).reshape(height, width, *image.shape[2:])
