"""A mask that is not held: it is read by windows."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

PIXELS = 1 << 22  # of a strip


@dataclass(frozen=True)
class MaskWindows:
    """A mask in the form that `maskfold.labels` has for the task, of which any window can be read.

    Attributes:
        read: gives the mask at rows and columns, uint8.
        size: (H, W).
    """

    read: Callable[[slice, slice], np.ndarray]
    size: tuple[int, int]

    def strips(self, order: Literal["F", "C"]) -> Iterator[np.ndarray]:
        """The mask in parts: whole columns from the left ("F"), whole rows from the top ("C")."""
        height, width = self.size
        along, across = (height, width) if order == "F" else (width, height)
        step = max(1, PIXELS // along)
        for start in range(0, across, step):
            part = slice(start, min(start + step, across))
            yield self.read(slice(0, height), part) if order == "F" else self.read(part, slice(0, width))

    def whole(self) -> np.ndarray:
        """All of it."""
        return self.read(slice(0, self.size[0]), slice(0, self.size[1]))
