"""The ways in which competitions write run-length codes, and the most usual of them as two functions."""

import reprlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Literal

import numpy as np

from maskfold.rle import kernels
from maskfold.rle.layouts import LAYOUTS, bounds_of_numbers, numbers_of_bounds
from maskfold.rle.masks import Order, bounds_of_mask, checked_shape, mask_of_bounds
from maskfold.rle.parts import bounds_of_parts
from maskfold.rle.runs import Runs
from maskfold.rle.set_kernels import join_touching
from maskfold.rle.tokens import RLEError, format_numbers, is_missing, parse_list, parse_text

_NO_NUMBERS = np.empty(0, np.int64)


@dataclass(frozen=True)
class RLEDialect:
    """One way of writing a binary mask as run lengths; strict, and exact in both directions.

    layout:
        "start-length": pairs of a run's first pixel and its length (Kaggle, Tianchi);
        "start-end": pairs of a run's first and last pixel, both inside the run;
        "relative": pairs of the background pixels since the previous run's end (at first: since the
            mask's beginning) and the run's length (SIIM-ACR pneumothorax); needs start=0;
        "counts": lengths of background and foreground in turn, background first, adding up to H * W
            (COCO's uncompressed RLE, as text or as a list); needs start=0.
    order: pixels are numbered down the columns ("F") or along the rows ("C").
    start: the number of the first pixel, 0 or 1.
    empty: the text written for an empty mask, and accepted for one. None is the layout's own form:
        "" for pairs, the one count H * W for "counts".
        A text of numbers may be one that no mask has, such as "1 0", a run without pixels.
    also_empty: further texts accepted for an empty mask. Blank text and missing values (None, NaN,
        pandas.NA) always are.

    Raises:
        RLEError: an unknown layout, order or start, or an empty marker that is a valid code.
    """

    layout: Literal["start-length", "start-end", "relative", "counts"] = "start-length"
    order: Order = "F"
    start: Literal[0, 1] = 1
    empty: str | None = None
    also_empty: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _check_choice("layout", self.layout, tuple(LAYOUTS))
        _check_choice("order", self.order, ("F", "C"))
        _check_choice("start", self.start, (0, 1))
        if self.start and LAYOUTS[self.layout].relative:
            raise RLEError(f"layout '{self.layout}' counts distances, not pixel numbers: set start=0")
        if isinstance(self.also_empty, str):
            raise RLEError(f"also_empty is {self.also_empty!r}; expected a tuple of texts")
        for marker in self._markers:
            if marker and all(token.isdigit() for token in marker.split()) and self._may_be_runs(marker):
                raise RLEError(
                    f"empty marker {marker!r} would be read as runs; use a text that is not a run, such as -1"
                )

    def encode(self, mask: np.ndarray) -> str:
        """The canonical text of `mask` (H, W): runs sorted, as long as possible, one blank between numbers.

        Any memory layout, bool or any number type; an RLEError unless all values are 0 or 1.
        """
        return self._text(*self._runs_of(mask))

    def encode_parts(self, parts: Iterable[np.ndarray], shape: tuple[int, int]) -> str:
        """The text that `encode` makes of a mask of ``shape`` (H, W), which comes in parts and is never held whole.

        Args:
            parts: whole columns from the left where ``order`` is "F", whole rows from the top where it is "C".
            shape: of all parts together.

        Raises:
            RLEError: values other than 0 and 1.
        """
        height, width = checked_shape(shape)
        return self._text(height * width, bounds_of_parts(parts, self.order))

    def numbers(self, mask: np.ndarray) -> list[int]:
        """The numbers of `encode`'s text as a list, the form COCO's JSON files hold; no empty marker."""
        pixels, bounds = self._runs_of(mask)
        return numbers_of_bounds(bounds, LAYOUTS[self.layout], self.start, pixels).tolist()

    def decode(self, rle: str | Sequence[int] | float | None, shape: tuple[int, int]) -> np.ndarray:
        """The mask of `rle` as uint8 0/1, shape (H, W), C-contiguous.

        Numbers may be separated by any ASCII whitespace; runs that touch are accepted. A list is accepted
        by layout "counts" only. Nothing is allocated for the mask before all of `rle` has been checked.

        Raises:
            RLEError: `rle` does not fit the dialect (the token at fault is named), or `shape` is not
                two positive integers.
        """
        height, width = checked_shape(shape)
        return mask_of_bounds(self._bounds(rle, height * width), (height, width), self.order)

    def runs(self, rle: str | Sequence[int] | float | None, shape: tuple[int, int]) -> Runs:
        """The mask of `rle` as `Runs`, for `maskfold.rle.ops`: not drawn, and checked exactly as by `decode`."""
        height, width = checked_shape(shape)
        bounds = self._bounds(rle, height * width)
        return Runs(bounds[: join_touching(bounds)], (height, width), self.order)

    def text(self, runs: Runs) -> str:
        """What `encode` writes for the mask of `runs`.

        Raises:
            RLEError: they count the pixels in another order.
        """
        if runs.order != self.order:
            raise RLEError(f"the runs are in order {runs.order}, the dialect writes order {self.order}")
        return self._text(runs.pixels, runs.bounds)

    def area(self, rle: str | Sequence[int] | float | None, shape: tuple[int, int]) -> int:
        """The number of foreground pixels, without making the mask; checked exactly as by `decode`."""
        return self.runs(rle, shape).area

    def _may_be_runs(self, numbers: str) -> bool:
        """Whether a mask of any size has this code; a run of length 0 (``1 0``) has none."""
        try:
            bounds_of_numbers(parse_text(numbers), LAYOUTS[self.layout], self.start, 10**kernels.MAX_DIGITS)
        except RLEError:
            return LAYOUTS[self.layout].trailing  # their sum depends on the size
        return True

    @cached_property
    def _markers(self) -> tuple[str, ...]:
        written = () if self.empty is None else (self.empty,)
        return tuple(marker.strip() for marker in (*written, *self.also_empty))

    def _text(self, pixels: int, bounds: np.ndarray) -> str:
        if not bounds.size and self.empty is not None:
            return self.empty
        return format_numbers(numbers_of_bounds(bounds, LAYOUTS[self.layout], self.start, pixels))

    def _runs_of(self, mask: np.ndarray) -> tuple[int, np.ndarray]:
        array = np.asarray(mask)
        return array.size, bounds_of_mask(array, self.order)

    def _bounds(self, rle: str | Sequence[int] | float | None, pixels: int) -> np.ndarray:
        if isinstance(rle, str):
            numbers = _NO_NUMBERS if rle.strip() in self._markers else parse_text(rle)
        elif is_missing(rle):
            numbers = _NO_NUMBERS
        elif self.layout == "counts" and isinstance(rle, list | tuple | np.ndarray):
            numbers = parse_list(rle)
        else:
            found = f"{reprlib.repr(rle)} ({type(rle).__name__})"
            raise RLEError(f"RLE is {found}; expected text in layout '{self.layout}'")
        if not numbers.size:
            return numbers
        return bounds_of_numbers(numbers, LAYOUTS[self.layout], self.start, pixels)


def rle_encode(mask: np.ndarray, *, order: Order = "F", start: Literal[0, 1] = 1) -> str:
    """`mask` (H, W) of 0 and 1 as "start length" pairs; see `RLEDialect.encode`."""
    return _start_length(order, start).encode(mask)


def rle_decode(
    rle: str | float | None, shape: tuple[int, int], *, order: Order = "F", start: Literal[0, 1] = 1
) -> np.ndarray:
    """Pairs ``start length`` as a uint8 0/1 mask (H, W), C-contiguous; see `RLEDialect.decode`."""
    return _start_length(order, start).decode(rle, shape)


@cache
def _start_length(order: Order, start: Literal[0, 1]) -> RLEDialect:
    return RLEDialect(order=order, start=start)


def _check_choice(name: str, value: object, choices: tuple) -> None:
    if value not in choices:
        raise RLEError(f"RLE {name} is {value!r}; expected one of {', '.join(map(repr, choices))}")
