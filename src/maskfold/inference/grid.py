"""Where windows stand."""

import math


def window_starts(size: int, window: int, overlap: float) -> list[int]:
    """First pixels of the fewest windows that overlap enough, from 0 to the border, evenly spread.

    Args:
        size: of the image along an axis, in pixels.
        window: side of a window in pixels; one that is larger than the image begins at 0, too.
        overlap: least share of a window that its neighbour covers.
    """
    last = max(0, size - window)
    steps = math.ceil(last / max(1, window * (1 - overlap)))
    return [round(last * step / steps) for step in range(steps + 1)] if steps else [0]
