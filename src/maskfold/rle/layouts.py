"""What the numbers of a run-length code stand for, and the way from them to runs and back."""

from dataclasses import dataclass

import numpy as np

from maskfold.rle import kernels
from maskfold.rle.tokens import RLEError, token_error


@dataclass(frozen=True)
class Layout:
    """How runs are written: pairs of numbers, the first for where a run begins, the second for its extent."""

    relative: bool = False  # the first number counts the background pixels since the previous run
    ends: bool = False  # the second number is the run's last pixel, not its length
    trailing: bool = False  # a single last number counts the background after the last run, if any


LAYOUTS = {
    "start-length": Layout(),
    "start-end": Layout(ends=True),
    "relative": Layout(relative=True),
    "counts": Layout(relative=True, trailing=True),
}


def bounds_of_numbers(numbers: np.ndarray, layout: Layout, start: int, pixels: int) -> np.ndarray:
    """The runs that `numbers` describe, as int64 `[begin, end, …]`: 0-based, ends exclusive.

    Raises:
        RLEError: the numbers are not sorted, non-overlapping, non-empty runs inside `pixels`.
    """
    paired = numbers.size - numbers.size % 2
    if paired < numbers.size and not layout.trailing:
        raise token_error(paired, numbers[paired], "has no partner: expected an even number of tokens")
    bounds = np.empty(paired, np.int64)
    bad = kernels.locate_runs(numbers[:paired], layout.relative, layout.ends, start, pixels, bounds)
    if bad >= 0:
        raise token_error(bad, numbers[bad], _complaint(bad, bounds, start, pixels))
    if layout.trailing and (total := int(numbers.sum())) != pixels:
        raise RLEError(f"RLE counts add up to {total}, but the mask has {pixels} pixels")
    return bounds


def numbers_of_bounds(bounds: np.ndarray, layout: Layout, start: int, pixels: int) -> np.ndarray:
    """The inverse of `bounds_of_numbers`; `bounds` must not touch each other."""
    numbers = bounds + start
    numbers[1::2] -= 1 if layout.ends else numbers[0::2]
    if layout.relative:
        numbers[2::2] -= bounds[1:-1:2]
    rest = pixels - int(bounds[-1]) if bounds.size else pixels
    return np.append(numbers, rest) if layout.trailing and rest else numbers


def _complaint(bad: int, bounds: np.ndarray, start: int, pixels: int) -> str:
    bound, last = int(bounds[bad]), start + pixels - 1
    if bad % 2:
        if bound > pixels:
            return f"makes its run end at pixel {bound - 1 + start}; the last pixel is {last}"
        return "makes its run shorter than one pixel"
    if bound >= pixels:
        return f"makes its run start at pixel {bound + start}; the last pixel is {last}"
    if bound < 0:
        return f"makes its run start before the first pixel, which is number {start}"
    return (
        f"makes its run start at pixel {bound + start}, but the previous run ends at pixel "
        f"{int(bounds[bad - 1]) - 1 + start}: runs must be sorted and must not overlap"
    )
