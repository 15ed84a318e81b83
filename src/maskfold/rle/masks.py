"""Between masks and runs."""

import operator
from collections.abc import Sequence
from typing import Literal

import cv2
import numpy as np

from maskfold.rle import kernels
from maskfold.rle.tokens import RLEError

Order = Literal["F", "C"]


def mask_of_bounds(bounds: np.ndarray, shape: tuple[int, int], order: Order) -> np.ndarray:
    """The uint8 0/1 mask (H, W), C-contiguous, with the checked runs `bounds` set."""
    mask = np.zeros(shape, np.uint8)
    fill = kernels.fill_columns if order == "F" else kernels.fill_rows
    fill(mask, bounds)
    return mask


def bounds_of_mask(mask: np.ndarray, order: Order) -> np.ndarray:
    """The runs of `mask` (H, W) as int64 `[begin, end, …]`, none touching another.

    Raises:
        RLEError: the mask is not two-dimensional, has no pixels, or holds anything but 0 and 1.
    """
    words = _padded_copy(_as_bytes(mask), order).view("<u8")
    bounds = np.empty(mask.size // 64 + 2, np.int64)  # enough for most masks: counting first costs as much
    count = kernels.find_bounds(words, bounds)
    if count < 0:
        raise _value_error(mask)
    if count > bounds.size:
        bounds = np.empty(count, np.int64)
        kernels.find_bounds(words, bounds)
    return bounds[:count]


def checked_shape(shape: Sequence[int]) -> tuple[int, int]:
    """`shape` as (H, W), two positive ints; RLEError otherwise."""
    try:
        height, width = map(operator.index, shape)
    except (TypeError, ValueError):
        height, width = 0, 0
    if height < 1 or width < 1:
        raise RLEError(f"shape is {shape!r}; expected (height, width), two positive integers")
    if height * width >= 10**kernels.MAX_DIGITS:
        raise RLEError(f"shape is {shape!r}; so many pixels cannot be numbered")
    return height, width


def _as_bytes(mask: np.ndarray) -> np.ndarray:
    """`mask` as uint8 with the same values, or an RLEError; values above 1 are found later, by the scan."""
    if mask.ndim != 2 or mask.size == 0:
        raise RLEError(f"mask has shape {mask.shape}; expected two dimensions (H, W), both at least 1")
    if mask.dtype.kind not in "buif":
        raise RLEError(f"mask has dtype {mask.dtype}; expected bool or numbers that are 0 or 1")
    if mask.dtype.itemsize == 1:
        return mask.view(np.uint8)
    binary = mask == 1
    if not np.array_equal(binary, mask):
        raise _value_error(mask)
    return binary.view(np.uint8)


def _padded_copy(mask: np.ndarray, order: Order) -> np.ndarray:
    """All pixels in `order`, then background up to a whole block, so that the last run ends in it."""
    padded = np.empty((mask.size // kernels.BLOCK + 1) * kernels.BLOCK, np.uint8)
    padded[mask.size :] = 0
    lines = mask.T if order == "F" else mask
    target = padded[: mask.size].reshape(lines.shape)
    if order == "F" and not lines.flags.c_contiguous:
        cv2.transpose(mask, target)  # several times faster than numpy's copy
    else:
        target[:] = lines
    return padded


def _value_error(mask: np.ndarray) -> RLEError:
    values = np.unique(mask)
    shown = ", ".join(str(value) for value in values[:6]) + (", …" if values.size > 6 else "")
    return RLEError(
        f"mask holds {shown}; expected only 0 and 1: use `mask > 127` for 0/255 images, "
        "`mask > 0.5` for probabilities, `mask == k` for class k"
    )
