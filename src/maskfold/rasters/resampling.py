"""A window of a resized raster from the pixels that it needs, as if the whole raster had been resized."""

from collections.abc import Callable
from typing import Literal

import numpy as np
from scipy.sparse import csr_array

Size = tuple[int, int]
Window = tuple[slice, slice]
"""Rows and columns, of which both have a start and a stop."""
Read = Callable[[Window], np.ndarray]
Rule = Literal["image", "map", "nearest"]


def window_size(window: Window) -> Size:
    """(H, W) of a window."""
    rows, columns = window
    return rows.stop - rows.start, columns.stop - columns.start


def read_resized(read: Read, size: Size, wanted: Size, window: Window, rule: Rule) -> np.ndarray:
    """``window`` of what ``read`` reads, at another size.

    Pixel centres agree as in `maskfold.resizing` and `maskfold.inference.views.resize`. ``image``: area average where
    a side shrinks, bilinear where it grows; ``map``: bilinear, smoothed over all pixels where a side shrinks;
    ``nearest``: the value of the nearest pixel.

    Args:
        read: gives the window (h, w, C) of an array (H, W, C).
        size: (H, W) of that array.
        wanted: (H, W) that the array is to have.
        window: of the resized array.
        rule: how values come about.

    Returns:
        (h, w, C), float32 unless no value is new: then of the type that ``read`` gives.
    """
    if tuple(size) == tuple(wanted):
        return read(window)
    axes = list(zip(size, wanted, window, strict=True))
    if rule == "nearest":
        (rows, own_rows), (columns, own_columns) = (_nearest(*axis) for axis in axes)
        return read((rows, columns))[own_rows][:, own_columns]
    (rows, down), (columns, across) = (_weights(*axis, rule) for axis in axes)
    values = read((rows, columns))
    for weights in (down, across):
        values = _weighted(weights, values).swapaxes(0, 1)  # so that the other axis comes first
    return np.ascontiguousarray(values)


def _nearest(size: int, wanted: int, part: slice) -> tuple[slice, np.ndarray]:
    """Which pixels of an axis are needed, and the index of each for the pixels of ``part``."""
    pixels = np.arange(part.start, part.stop)
    places = (2 * pixels + 1) * size // (2 * wanted)  # where the centre is, without rounding
    return slice(int(places[0]), int(places[-1]) + 1), places - places[0]


def _weights(size: int, wanted: int, part: slice, rule: Rule) -> tuple[slice, csr_array]:
    """Which pixels of an axis are needed, and the weight of each for each pixel of ``part``."""
    step = size / wanted
    pixels = np.arange(part.start, part.stop)
    area = rule == "image" and step > 1
    reach = step / 2 if area else max(step, 1.0)
    centres = (pixels + 0.5) * step
    first = np.maximum(np.floor(centres - reach).astype(np.int64), 0)
    places = first[:, None] + np.arange(int(np.ceil(2 * reach)) + 2)
    if area:
        lower, upper = centres[:, None] - reach, centres[:, None] + reach
        weights = np.minimum(places + 1, upper) - np.maximum(places, lower)
    else:
        weights = 1 - np.abs(places + 0.5 - centres[:, None]) / reach
    weights = np.where((places < size), weights, 0).clip(0)
    weights /= weights.sum(1, keepdims=True)
    row, entry = np.nonzero(weights > 1e-9)
    columns = places[row, entry]
    needed = slice(int(columns.min()), int(columns.max()) + 1)
    shape = (len(pixels), needed.stop - needed.start)
    held = weights[row, entry].astype(np.float32)
    return needed, csr_array((held, (row, columns - needed.start)), shape=shape)


def _weighted(weights: csr_array, values: np.ndarray) -> np.ndarray:
    """The weighted sums along the first axis, float32."""
    flat = np.ascontiguousarray(values, dtype=np.float32).reshape(len(values), -1)
    return (weights @ flat).reshape(-1, *values.shape[1:])
