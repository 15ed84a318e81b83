"""Between masks and runs."""

import operator
from collections.abc import Sequence
from typing import Literal

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
    array = _as_bytes(mask)
    if order == "F":
        if not array.flags.f_contiguous:
            return _bounds_down(mask, array)
        array = array.T  # whose rows are the columns
    words = _padded_copy(array).view("<u8")
    bounds = np.empty(mask.size // 64 + 2, np.int64)  # enough for most masks: counting first costs as much
    count = kernels.find_bounds(words, bounds)
    if count < 0:
        raise _value_error(mask)
    if count > bounds.size:
        bounds = np.empty(count, np.int64)
        kernels.find_bounds(words, bounds)
    return bounds[:count]


def _bounds_down(mask: np.ndarray, array: np.ndarray) -> np.ndarray:
    """The runs down the columns of an array whose rows lie in memory as they are."""
    words = _padded_rows(array).view("<u8")
    room = mask.size // 64 + 2  # as above
    while True:
        rows, columns = np.empty((2, room), np.int64)
        firsts = np.zeros(8 * words.shape[1] + 1, np.int64)
        count = kernels.find_bounds_down(words, rows, columns, firsts)
        if count <= room:
            break
        room = count
    if count < 0:
        raise _value_error(mask)
    bounds = np.empty(count + 1, np.int64)
    bounds[count] = mask.size  # the end of a run that reaches the last pixel
    kernels.sort_bounds(rows[:count], columns[:count], len(array), firsts, bounds)
    return bounds[: count + count % 2]


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


def _padded_copy(mask: np.ndarray) -> np.ndarray:
    """All pixels row by row, then background up to a whole block, so that the last run ends in it."""
    padded = np.empty((mask.size // kernels.BLOCK + 1) * kernels.BLOCK, np.uint8)
    padded[mask.size :] = 0
    padded[: mask.size].reshape(mask.shape)[:] = mask
    return padded


def _padded_rows(mask: np.ndarray) -> np.ndarray:
    """The mask (H, W) with background behind its rows up to whole words; itself, where they are whole."""
    height, width = mask.shape
    if width % 8 == 0 and mask.flags.c_contiguous and mask.flags.aligned:
        return mask
    padded = np.zeros((height, -(-width // 8) * 8), np.uint8)
    padded[:, :width] = mask
    return padded


def _value_error(mask: np.ndarray) -> RLEError:
    values = np.unique(mask)
    shown = ", ".join(str(value) for value in values[:6]) + (", …" if values.size > 6 else "")
    return RLEError(
        f"mask holds {shown}; expected only 0 and 1: use `mask > 127` for 0/255 images, "
        "`mask > 0.5` for probabilities, `mask == k` for class k"
    )
