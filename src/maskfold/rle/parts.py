"""Parts of a mask that is too large to be held: a window of its runs, and its runs from parts."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from maskfold.rle import kernels
from maskfold.rle.masks import Order, bounds_of_mask

_NONE = np.empty(0, np.int64)


@dataclass(frozen=True)
class Runs:
    """The runs of a mask that is not drawn.

    Attributes:
        bounds: int64 ``[begin, end, …]``, 0-based, ends exclusive, in the numbering of ``order``.
        shape: (H, W) of the mask.
        order: pixels are numbered down the columns ("F") or along the rows ("C").
    """

    bounds: np.ndarray
    shape: tuple[int, int]
    order: Order

    @property
    def area(self) -> int:
        """Number of foreground pixels."""
        return int(self.bounds[1::2].sum() - self.bounds[0::2].sum())

    def window(self, rows: slice, columns: slice) -> np.ndarray:
        """The mask's part at ``rows`` and ``columns``, which have both ends: uint8 0/1, (h, w), C-contiguous."""
        lines, along, length = (columns, rows, self.shape[0]) if self.order == "F" else (rows, columns, self.shape[1])
        part = np.zeros((lines.stop - lines.start, along.stop - along.start), np.uint8)
        kernels.fill_lines(part, self.bounds, length, lines.start, along.start)
        return np.ascontiguousarray(part.T) if self.order == "F" else part


def bounds_of_parts(parts: Iterable[np.ndarray], order: Order) -> np.ndarray:
    """The runs of a mask that comes in parts: of whole columns from the left ("F"), of whole rows from the top ("C").

    Returns:
        int64 ``[begin, end, …]``, none touching another: those of the parts put together.

    Raises:
        RLEError: as `RLEDialect.encode`.
    """
    found, seen = [_NONE], 0
    for part in parts:
        bounds = bounds_of_mask(part, order) + seen
        seen += part.size
        last = found[-1]
        if bounds.size and last.size and bounds[0] == last[-1]:  # a run goes on across the seam
            found[-1], bounds = last[:-1], bounds[1:]
        if bounds.size:
            found.append(bounds)
    return np.concatenate(found)
