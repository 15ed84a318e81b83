"""How COCO's annotation files write masks beside lists of counts: compressed strings, and polygons.

Both as in the reference implementation, ``common/maskApi.c`` of cocodataset/cocoapi.
"""

import reprlib
from collections.abc import Sequence

import numpy as np

from maskfold.rle.tokens import RLEError

_FINER = 5  # the reference draws polygons on a grid so much finer
_FAR = 1_000_000  # pixels; the boundary is walked step by step, however far away it is


def counts_of_string(text: str) -> list[int]:
    """The counts (`RLEDialect` with layout "counts") of a compressed string.

    Six bits a character, offset by 48: five of the number, low ones first, and one that says that it goes on. From the
    fourth number on, each is the difference from the one before the last.

    Raises:
        RLEError: characters that cannot be in such a string, or one that ends within a number.
    """
    codes = np.frombuffer(text.encode("utf-8", "surrogatepass"), np.uint8).astype(np.int64) - 48
    strange = np.flatnonzero((codes < 0) | (codes > 63))
    if strange.size:
        raise RLEError(f"compressed RLE holds {text[int(strange[0])]!r}, expected the characters '0' to 'o'")
    last = (codes & 32) == 0
    if codes.size and not last[-1]:
        raise RLEError("compressed RLE ends within a number: is it cut off?")
    ends = np.flatnonzero(last)
    begins = np.concatenate([[0], ends[:-1] + 1]) if ends.size else ends
    if (ends - begins >= 12).any():
        raise RLEError("compressed RLE has a number of more than 60 bits")
    places = np.arange(codes.size) - np.repeat(begins, ends - begins + 1)
    numbers = np.add.reduceat((codes & 31) << (5 * places), begins) if ends.size else ends
    negative = (codes[ends] & 16) != 0
    numbers = numbers - (negative.astype(np.int64) << (5 * (ends - begins + 1)))
    for first in (1, 2):
        numbers[first::2] = np.cumsum(numbers[first::2])
    return numbers.tolist()


def mask_of_polygon(points: Sequence[float], shape: tuple[int, int]) -> np.ndarray:
    """The mask of a polygon: uint8 0/1, ``shape`` (H, W).

    Args:
        points: x, y, x, y, …; pixel (row, column) has its centre at x = column + 0.5, y = row + 0.5.
        shape: of the image; what lies beyond is cut off.

    Raises:
        RLEError: fewer than three points, or half of one.
    """
    if not isinstance(points, Sequence | np.ndarray) or not all(isinstance(each, int | float) for each in points):
        raise RLEError(f"a polygon is {reprlib.repr(points)}: expected a list of numbers")
    if len(points) < 6 or len(points) % 2:
        raise RLEError(f"a polygon has {len(points)} numbers: expected x, y of three points or more")
    height, width = shape
    far = next((each for each in points if not abs(each) <= _FAR), None)
    if far is not None:
        raise RLEError(f"a polygon has the coordinate {far}: expected pixels, at most {_FAR:,} beyond the image")
    columns, rows = _boundary((_FINER * np.asarray(points, np.float64).reshape(-1, 2) + 0.5).astype(np.int64))
    turns = np.flatnonzero(np.diff(columns))
    # Where the boundary enters another column, halfway between them in the fine grid.
    left = np.minimum(columns[turns], columns[turns + 1])
    upper = np.minimum(rows[turns], rows[turns + 1])
    x = (left + 0.5) / _FINER - 0.5
    inside = (x == np.floor(x)) & (x >= 0) & (x <= width - 1)
    y = np.ceil(np.clip((upper[inside] + 0.5) / _FINER - 0.5, 0, height))
    crossings = x[inside].astype(np.int64) * height + y.astype(np.int64)
    # Down the columns, each crossing changes between outside and inside.
    parity = np.cumsum(np.bincount(crossings, minlength=height * width + 1)[: height * width]) & 1
    return np.ascontiguousarray(parity.astype(np.uint8).reshape(width, height).T)


def _boundary(corners: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Columns and rows of all points of the fine grid along a polygon, a step apart in the longer direction."""
    columns, rows = [], []
    for (x, y), (next_x, next_y) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        width, height = abs(next_x - x), abs(next_y - y)
        wide = width >= height
        back = x > next_x if wide else y > next_y
        if back:
            x, y, next_x, next_y = next_x, next_y, x, y
        steps = np.arange(max(width, height) + 1)[:: -1 if back else 1]
        slope = ((next_y - y) / width if width else 0.0) if wide else (next_x - x) / height
        start, across = (x, y) if wide else (y, x)
        along, other = steps + start, (across + slope * steps + 0.5).astype(np.int64)
        columns.append(along if wide else other)
        rows.append(other if wide else along)
    return np.concatenate(columns), np.concatenate(rows)
