"""A binary mask as the runs it consists of."""

from dataclasses import dataclass

import numpy as np

from maskfold.rle import kernels
from maskfold.rle.masks import Order, bounds_of_mask, mask_of_bounds


@dataclass(frozen=True, eq=False)
class Runs:
    """A binary mask (H, W) as its runs, what `maskfold.rle.ops` works on; two are equal where their masks are.

    `RLEDialect.runs` makes them of text, `of_mask` of pixels; `RLEDialect.text` and `mask` are the ways back.

    Attributes:
        bounds: int64 (2 n,): `[begin, end, begin, end, …]` in the flattened mask, 0-based, ends exclusive, sorted, no
            run touching the next.
        shape: (H, W).
        order: pixels are numbered down the columns ("F") or along the rows ("C").
    """

    bounds: np.ndarray
    shape: tuple[int, int]
    order: Order = "F"

    @classmethod
    def of_mask(cls, mask: np.ndarray, order: Order = "F") -> "Runs":
        """The runs of `mask` (H, W), bool or numbers that are 0 or 1.

        Raises:
            RLEError: the mask is not two-dimensional, has no pixels, or holds anything but 0 and 1.
        """
        array = np.asarray(mask)
        bounds = bounds_of_mask(array, order)
        return cls(bounds, (array.shape[0], array.shape[1]), order)

    @property
    def pixels(self) -> int:
        """H * W."""
        return self.shape[0] * self.shape[1]

    @property
    def line(self) -> int:
        """Pixels of a column ("F") or of a row ("C")."""
        return self.shape[0] if self.order == "F" else self.shape[1]

    @property
    def area(self) -> int:
        """Pixels of the mask."""
        return int(self.bounds[1::2].sum() - self.bounds[0::2].sum())

    def mask(self) -> np.ndarray:
        """uint8 of 0 and 1 (H, W), C-contiguous."""
        return mask_of_bounds(self.bounds, self.shape, self.order)

    def window(self, rows: slice, columns: slice) -> np.ndarray:
        """The mask's part at ``rows`` and ``columns``, which have both ends: uint8 0/1, (h, w), C-contiguous."""
        lines, along = (columns, rows) if self.order == "F" else (rows, columns)
        part = np.zeros((lines.stop - lines.start, along.stop - along.start), np.uint8)
        kernels.fill_lines(part, self.bounds, self.line, lines.start, along.start)
        return np.ascontiguousarray(part.T) if self.order == "F" else part

    def __len__(self) -> int:
        return self.bounds.size // 2

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Runs):
            return NotImplemented
        same = (self.shape, self.order) == (other.shape, other.order)
        return same and np.array_equal(self.bounds, other.bounds)

    __hash__ = None  # pyright: ignore[reportAssignmentType]
