"""Where errors are that nobody sees in a small picture."""

from typing import NamedTuple

import cv2
import numpy as np

from maskfold.labels import Label, LabelSpec
from maskfold.picks import every_nth

# As a share of the picture's longest side: at 150 pixels some 4 of them.
TOO_SMALL = 0.03
MOST_RINGS = 12


class _Spot(NamedTuple):
    """A component: its area, its longer side, its centre (x, y), and its pixels (rows, columns)."""

    area: int
    side: int
    centre: tuple[float, float]
    pixels: tuple[np.ndarray, np.ndarray]


def ring_places(labels: LabelSpec, truth: Label, mask: np.ndarray) -> list[tuple[float, float]]:
    """Centres (x, y), as shares of width and height, of errors too small to see, the largest first; of many some.

    These are objects (components of a class) that are missed or invented as a whole and are smaller than `TOO_SMALL`.
    Where there is none, it is the largest wrong spot, if all of them are so small.
    """
    true, found = labels.layers(truth.values) & truth.valid, labels.layers(mask) & truth.valid
    first = 1 if labels.exclusive else 0  # what is missed of the background is invented of another class
    height, width = mask.shape[-2:]
    limit = TOO_SMALL * max(height, width)
    spots = []
    for own, other in ((true, found), (found, true)):
        for layer, counterpart in zip(own[first:], other[first:], strict=True):
            spots += [spot for spot in _spots(layer) if not counterpart[spot.pixels].any()]
    if spots:
        small = [spot for spot in spots if spot.side <= limit]
    else:
        wrong = sorted(_spots(labels.differ(truth.values, mask) & truth.valid), key=lambda spot: -spot.area)
        small = wrong[:1] if all(spot.side <= limit for spot in wrong) else []
    ordered = sorted(small, key=lambda spot: (-spot.area, spot.centre))
    return [(x / width, y / height) for x, y in (spot.centre for spot in every_nth(ordered, MOST_RINGS))]


def _spots(layer: np.ndarray) -> list[_Spot]:
    count, numbers, figures, centres = cv2.connectedComponentsWithStats(layer.astype(np.uint8), connectivity=8)
    found = []
    for number in range(1, count):
        left, top, width, height, area = (int(value) for value in figures[number])
        box = np.s_[top : top + height, left : left + width]
        rows, columns = np.nonzero(numbers[box] == number)
        x, y = centres[number]
        centre, pixels = (float(x) + 0.5, float(y) + 0.5), (rows + top, columns + left)
        found.append(_Spot(area, max(width, height), centre, pixels))
    return found
