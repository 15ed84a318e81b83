"""Annotators with habits of their own: what they draw where the roofs of a scene are."""

from dataclasses import dataclass

import cv2
import numpy as np

HAND = 0.4  # metres: standard deviation by which an outline is off, on top of the annotator's own shift


@dataclass(frozen=True)
class Habits:
    """How one annotator's masks differ from the truth.

    Attributes:
        shift: metres to the right and down by which every building is off.
        rounding: radius in metres to which corners that stick out are rounded; what is narrower is lost.
        smallest: square metres; smaller buildings are forgotten.
        gap: metres; buildings that are nearer to each other are drawn as one.
    """

    shift: tuple[float, float] = (0.0, 0.0)
    rounding: float = 0.0
    smallest: float = 0.0
    gap: float = 0.0


HABITS = (
    Habits(shift=(1.5, -1.0)),  # as if traced from a picture that was taken at a slant
    Habits(rounding=2.5, smallest=60.0),
    Habits(shift=(-0.5, 0.5), gap=4.0),
    Habits(shift=(-1.0, -1.5), smallest=120.0),
)


def annotate(rng: np.random.Generator, mask: np.ndarray, habits: Habits, pixels_per_metre: float) -> np.ndarray:
    """What somebody with these habits draws of a true mask, uint8 (H, W) of 0 and 1."""
    count, numbers, statistics, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    drawn = np.zeros_like(mask)
    for number in range(1, count):
        left, top, width, height, area = statistics[number]
        offset = np.rint((np.array(habits.shift) + rng.normal(0, HAND, 2)) * pixels_per_metre).astype(int)
        if area >= habits.smallest * pixels_per_metre**2:
            rows, columns = np.nonzero(numbers[top : top + height, left : left + width] == number)
            rows, columns = rows + top + offset[1], columns + left + offset[0]
            inside = (rows >= 0) & (rows < mask.shape[0]) & (columns >= 0) & (columns < mask.shape[1])
            drawn[rows[inside], columns[inside]] = 1
    drawn = _morphed(drawn, cv2.MORPH_OPEN, habits.rounding * pixels_per_metre)
    return _morphed(drawn, cv2.MORPH_CLOSE, habits.gap / 2 * pixels_per_metre)


def _morphed(mask: np.ndarray, operation: int, radius: float) -> np.ndarray:
    side = 2 * round(radius) + 1
    return cv2.morphologyEx(mask, operation, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side)))
