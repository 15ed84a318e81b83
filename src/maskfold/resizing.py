"""Images and labels at another size or place: how they shrink, grow and move, with pixel centres that agree."""

from dataclasses import replace

import cv2
import numpy as np

from maskfold.labels import Label, LabelSpec

Size = tuple[int, int]
Shift = tuple[float, float]  # pixels down and to the right


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

    Soft values are resized like an image, as a mean over the pixels that count. Of masks, exclusive classes go by
    nearest neighbour; others are resized like an image class by class and cut at one half of what counts, which keeps
    the area of thin shapes that nearest neighbour would break up. What counts goes by nearest neighbour, and so do the
    numbers of instances.
    """
    if label.valid.shape == tuple(size):
        return label
    fitted = _fitted(label, size, labels)
    if label.instances is None:
        return fitted
    numbers = _resized(label.instances.astype(np.float32), size, cv2.INTER_NEAREST_EXACT)  # OpenCV resizes no int32
    return replace(fitted, instances=numbers.astype(np.int32))


def moved(values: np.ndarray, shift: Shift) -> np.ndarray:
    """Layers (..., H, W) moved by ``shift`` pixels, bilinearly; what comes in repeats the edge.

    Whole pixels keep the type, parts of one make float32.
    """
    for axis, distance in zip((-2, -1), shift, strict=True):
        before = int(np.floor(-distance))
        part = np.float32(-distance - before)
        places = np.arange(values.shape[axis]) + before
        last = values.shape[axis] - 1
        first, second = (values.take((places + step).clip(0, last), axis) for step in (0, 1))
        values = (1 - part) * first.astype(np.float32) + part * second if part else first
    return values


def moved_label(label: Label, shift: Shift, labels: LabelSpec) -> Label:
    """A label moved by ``shift`` pixels; what comes in does not count.

    Moved by parts of a pixel a mask becomes shares of classes, means over the pixels that count; by exactly half a one
    each straight edge goes to one side, see `_decided`. Numbers of instances move by whole pixels, the nearest ones.
    """
    shift = _decided(shift[0]), _decided(shift[1])
    whole = not any(distance % 1 for distance in shift)
    counted = moved(label.valid.astype(np.float32), shift)
    rows, columns = (
        (np.arange(length) - distance >= 0) & (np.arange(length) - distance <= length - 1)
        for length, distance in zip(label.valid.shape, shift, strict=True)
    )
    valid = (counted >= 0.5) & rows[:, None] & columns
    if whole and not label.soft:
        values = moved(label.values, shift)
    else:
        sums = moved(labels.shares(label) * label.valid, shift)
        values = (sums / np.maximum(counted, np.float32(1e-6))).clip(0, 1).astype(np.float32)
    instances = None
    if label.instances is not None:
        instances = np.where(valid, moved(label.instances, (round(shift[0]), round(shift[1]))), 0)
    return Label(np.where(valid, values, values.dtype.type(0)), valid, instances)


def _decided(distance: float) -> float:
    """Half a pixel beside whole ones a hundredth further.

    Halves would make shares of exactly one half along both sides of an object. Who then decides for a class above one
    half would see the object a pixel too narrow, who decides from one half on a pixel too wide.
    """
    return distance + 0.01 if distance % 1 == 0.5 else distance


def _fitted(label: Label, size: Size, labels: LabelSpec) -> Label:
    """Without instances."""
    valid = _resized(label.valid.view(np.uint8), size, cv2.INTER_NEAREST_EXACT).view(bool)
    if label.soft:
        counted = np.where(valid, fit_image(label.valid.astype(np.float32), size), np.float32(1))
        layers = [fit_image(layer, size) / counted for layer in label.values]
        return Label(np.where(valid, np.stack(layers), np.float32(0)).clip(0, 1), valid)
    if labels.exclusive:
        return Label(_resized(label.values, size, cv2.INTER_NEAREST_EXACT), valid)
    # What does not count has one half, so that among what counts at least half decides.
    rest = np.uint8(0) if label.valid.all() else np.where(label.valid, np.uint8(0), np.uint8(100))
    shares = [fit_image(np.where(layer, np.uint8(200), rest), size) for layer in labels.layers(label.values)]
    return Label(labels.mask(np.stack([(share >= 100) & valid for share in shares])), valid)


def _resized(image: np.ndarray, size: Size, how: int) -> np.ndarray:
    height, width = size
    if image.shape[:2] == (height, width):
        return image
    # OpenCV averages areas of at most four channels, and drops an axis of one.
    groups = np.split(image, range(4, image.shape[2], 4), axis=2) if image.ndim == 3 else [image]
    resized = [cv2.resize(group, (width, height), interpolation=how) for group in groups]
    return np.concatenate([np.atleast_3d(part) for part in resized], axis=2).reshape(height, width, *image.shape[2:])
