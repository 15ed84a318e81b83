"""The eight symmetries of a square, for images and maps alike."""

from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Symmetry:
    """An element of the square's symmetry group: an optional transposition, then flips of axes.

    Attributes:
        name: for programs.
        words: what was done to an image, for people; empty for the identity.
        transposed, flipped: the transposition of the last two axes; which of them, -1 and -2, are flipped after it.
    """

    name: str
    words: str
    transposed: bool
    flipped: tuple[int, ...]

    def apply(self, arrays: Any) -> Any:
        """Transpose, then flip, the last two axes of a numpy array or torch tensor."""
        return _flip(arrays.swapaxes(-1, -2) if self.transposed else arrays, self.flipped)

    def undo(self, arrays: Any) -> Any:
        """Flip, then transpose: each is its own inverse."""
        arrays = _flip(arrays, self.flipped)
        return arrays.swapaxes(-1, -2) if self.transposed else arrays


D4 = (
    Symmetry("identity", "", False, ()),
    Symmetry("horizontal", "mirrored left to right", False, (-1,)),
    Symmetry("vertical", "mirrored top to bottom", False, (-2,)),
    Symmetry("both", "turned by 180°", False, (-2, -1)),
    Symmetry("transpose", "mirrored along a diagonal", True, ()),
    Symmetry("rotate_right", "turned by 270°", True, (-1,)),
    Symmetry("rotate_left", "turned by 90°", True, (-2,)),
    Symmetry("antitranspose", "mirrored along the other diagonal", True, (-2, -1)),
)


def _flip(arrays: Any, axes: tuple[int, ...]) -> Any:
    return np.flip(arrays, axes) if isinstance(arrays, np.ndarray) else arrays.flip(axes)
