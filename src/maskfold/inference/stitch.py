"""Maps of windows, put together to bands of a map that is too large to be held."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np
import torch

from maskfold.inference.grid import window_starts
from maskfold.inference.window import window_cover, window_weight


@dataclass(frozen=True)
class WindowGrid:
    """The windows of an image, spread and weighted as `maskfold.inference.window.window_logits` does it.

    Attributes:
        size: (H, W) of the image.
        window: largest side of a window in pixels.
        overlap: least overlap of neighbouring windows, share of the side.
    """

    size: tuple[int, int]
    window: int
    overlap: float

    @property
    def shape(self) -> tuple[int, int]:
        """(h, w) of each window."""
        return min(self.window, self.size[0]), min(self.window, self.size[1])

    @property
    def starts(self) -> tuple[list[int], list[int]]:
        """First rows and first columns of the windows."""
        rows, columns = (window_starts(length, self.window, self.overlap) for length in self.size)
        return rows, columns

    @property
    def pixels(self) -> int:
        """Of all windows together, those that they share counted for each."""
        return math.prod(map(len, self.starts)) * math.prod(self.shape)

    def parts(self) -> list[tuple[slice, slice]]:
        """Rows and columns of every window, row by row."""
        height, width = self.shape
        return [(slice(y, y + height), slice(x, x + width)) for y, x in product(*self.starts)]


def stitch(windows: Iterable[np.ndarray], grid: WindowGrid) -> Iterator[tuple[int, np.ndarray]]:
    """Bands of the weighted mean of overlapping windows, from the top: (first row, float32 (C, rows, W)).

    Args:
        windows: float32 (C, h, w) of each of ``grid.parts()``, in that order.
        grid: where they stand.
    """
    rows, columns = grid.starts
    height, width = grid.shape
    cpu = torch.device("cpu")
    down, across = window_weight(height, cpu), window_weight(width, cpu)
    cover = window_cover(rows, down, grid.size[0])[:, None].numpy(), window_cover(columns, across, grid.size[1]).numpy()
    weight = (down[:, None] * across).numpy()
    source, held = iter(windows), None
    for row, following in zip(rows, [*rows[1:], grid.size[0]], strict=True):
        for column in columns:
            window = next(source)
            if held is None:
                held = np.zeros((len(window), height, grid.size[1]), np.float32)
            held[..., column : column + width] += window * weight
        assert held is not None  # a row has a window at least
        done = following - row
        yield row, held[:, :done] / (cover[0][row:following] * cover[1])
        rest = held[:, done:].copy()
        held[:, : height - done], held[:, height - done :] = rest, 0
