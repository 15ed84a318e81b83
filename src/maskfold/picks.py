"""Some of many things, where looking at all of them would take too long; nothing is random."""

from collections.abc import Sequence
from typing import TypeVar

import numpy as np

Item = TypeVar("Item")


def evenly_spaced(items: Sequence[Item], most: int) -> list[Item]:
    """At most ``most`` of the items in their order, evenly spaced from the first to the last."""
    places = np.linspace(0, len(items) - 1, min(most, len(items))).round().astype(int)
    return [items[place] for place in places.tolist()]


def every_nth(items: Sequence[Item], most: int) -> list[Item]:
    """At most ``most`` of the items in their order: the first, and always as many later the next."""
    return list(items[:: max(1, -(-len(items) // most))])
