"""The runs of a mask that is too large to be held, from its parts."""

from collections.abc import Iterable

import numpy as np

from maskfold.rle.masks import Order, bounds_of_mask

_NONE = np.empty(0, np.int64)


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
