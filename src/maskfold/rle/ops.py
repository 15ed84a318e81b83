"""Masks as sets of pixels, worked on as runs: nothing is drawn, and the time grows with the runs, not the pixels.

Components need a step more for each line of the mask (a column where pixels are numbered down the columns).
"""

import math
from collections.abc import Sequence

import numpy as np

from maskfold.rle import set_kernels
from maskfold.rle.runs import Runs
from maskfold.rle.tokens import RLEError

_NEVER = np.array([np.iinfo(np.int64).max])
# Weights are whole numbers of billionths, and sums are equal up to half a millionth: ties are ties, of thirds too.
UNIT = 10**9
EQUAL = 500
LIGHTEST, HEAVIEST = 1e-6, 1e6


def bounding_box(runs: Runs) -> tuple[int, int, int, int] | None:
    """(top, left, bottom, right) of the smallest box around all pixels, ends exclusive; `None` of an empty mask."""
    if not len(runs):
        return None
    begins, lasts, length = runs.bounds[0::2], runs.bounds[1::2] - 1, runs.line
    lines = int(begins[0]) // length, int(lasts[-1]) // length + 1
    if (begins // length != lasts // length).any():  # a run that goes on in the next line reaches both ends
        places = 0, length
    else:
        places = int((begins % length).min()), int((lasts % length).max()) + 1
    (top, bottom), (left, right) = (places, lines) if runs.order == "F" else (lines, places)
    return top, left, bottom, right


def union(*masks: Runs) -> Runs:
    """Pixels that are in any of one or more masks.

    Raises:
        RLEError: no mask, or masks of different shapes or orders.
    """
    return _select(masks, [1] * len(masks), 1, len(masks))


def intersection(*masks: Runs) -> Runs:
    """Pixels that are in each of one or more masks; raises as `union`."""
    return _select(masks, [1] * len(masks), len(masks), len(masks))


def symmetric_difference(a: Runs, b: Runs) -> Runs:
    """Pixels that are in one of two masks only; raises as `union`."""
    return _select((a, b), [1, 1], 1, 1)


def complement(runs: Runs) -> Runs:
    """Pixels that are not in the mask."""
    bounds = np.concatenate([[0], runs.bounds, [runs.pixels]])
    begin = 2 * int(bounds[0] == bounds[1])  # a run at the first pixel, or at the last one, leaves nothing beside it
    end = bounds.size - 2 * int(bounds[-2] == bounds[-1])
    return Runs(bounds[begin:end], runs.shape, runs.order)


def vote(masks: Sequence[Runs], weights: Sequence[float] | None = None, *, least: float | None = None) -> Runs:
    """Pixels for which enough masks are.

    Args:
        masks: one or more, of one shape.
        weights: of each mask, from a millionth to a million; sums of them are equal that differ by less than half a
            millionth. `None`: 1 each.
        least: weight that is enough, in the same units (with no weights: votes). `None`: more than half of all.

    Raises:
        RLEError: as `union`; weights that are not one positive number for each mask, or `least` that is not in
            (0, sum of the weights].
    """
    units = _units(weights, len(masks))
    total = sum(units)
    if least is None:
        return _select(masks, units, (total + EQUAL) // 2 + 1, total)
    if not 0 < (enough := least * UNIT - EQUAL) <= total:
        raise RLEError(f"least is {least:g}: expected more than 0 and at most the sum of all weights, {total / UNIT:g}")
    return _select(masks, units, math.ceil(enough), total)


def plurality(voters: Sequence[Sequence[Runs]], weights: Sequence[float] | None = None) -> list[Runs]:
    """Of classes that exclude each other, the one with the most votes at each pixel: runs of classes 1 .. C - 1.

    Args:
        voters: of each voter the masks of classes 1 .. C - 1, which do not overlap; where none of them is, the voter is
            for class 0. Of equals the first class wins.
        weights: as in `vote`.

    Raises:
        RLEError: as `vote`; voters with different numbers of classes, or none.
    """
    units, classes = _units(weights, len(voters)), {len(masks) for masks in voters}
    if len(classes) != 1 or 0 in classes:
        raise RLEError(f"the voters have {sorted(classes)} classes: expected the same number, at least 1, of each")
    count = classes.pop()
    masks = [runs for masks in voters for runs in masks]
    bounds, firsts, like = _together(masks)
    begins, winners = np.empty(bounds.size + 1, np.int64), np.empty(bounds.size, np.int64)
    each = np.repeat(np.array(units, np.int64), count)
    changes = set_kernels.most_voted(bounds, firsts, each, EQUAL, count, begins, winners)
    begins[changes] = like.pixels  # a winner that is there to the end; after it nobody is asked
    ends = begins[1 : changes + 1]
    found = []
    for value in range(1, count + 1):
        own = winners[:changes] == value
        pairs = np.stack([begins[:changes][own], ends[own]], axis=1).ravel()
        found.append(Runs(pairs, like.shape, like.order))
    return found


def overlap(a: Runs, b: Runs) -> tuple[int, int, int]:
    """Pixels that are in both masks, in `a` and in `b`; raises as `union`."""
    _check_alike((a, b))
    both, first, second = set_kernels.overlap(a.bounds, b.bounds)
    return int(both), int(first), int(second)


def dice(a: Runs, b: Runs, *, empty: float = 1.0) -> float:
    """2 |A and B| / (|A| + |B|), `empty` where both masks are empty; raises as `union`."""
    both, first, second = overlap(a, b)
    return 2 * both / (first + second) if first + second else empty


def iou(a: Runs, b: Runs, *, empty: float = 1.0) -> float:
    """|A and B| / |A or B|, `empty` where both masks are empty; raises as `union`."""
    both, first, second = overlap(a, b)
    either = first + second - both
    return both / either if either else empty


def component_areas(runs: Runs) -> np.ndarray:
    """int64 (n,): pixels of each component of 8-connected pixels, in the order of their first pixels."""
    segments, roots = _components(runs, reach=1)
    return np.bincount(roots, segments[:, 2] - segments[:, 1])[np.unique(roots)].astype(np.int64)


def remove_small(runs: Runs, min_area: int) -> Runs:
    """The mask without components (8 neighbours) of fewer than `min_area` pixels."""
    segments, roots = _components(runs, reach=1)
    boxes = _boxes(segments, roots)
    return _joined(runs, segments, roots, boxes[:, 4] >= min_area)


def fill_small_holes(runs: Runs, max_area: int) -> Runs:
    """The mask with holes of at most `max_area` pixels filled.

    A hole is a component of background pixels (4 neighbours) that does not touch the border.
    """
    outside = complement(runs)
    segments, roots = _components(outside, reach=0)
    boxes = _boxes(segments, roots)
    length = runs.line
    inside = (boxes[:, 0] > 0) & (boxes[:, 1] < runs.pixels // length) & (boxes[:, 2] > 0) & (boxes[:, 3] < length)
    return complement(_joined(outside, segments, roots, ~(inside & (boxes[:, 4] <= max_area))))


def _components(runs: Runs, reach: int) -> tuple[np.ndarray, np.ndarray]:
    """Segments, see `set_kernels.split_lines`, and of each the number of its component's first one."""
    room = np.empty((len(runs) + runs.pixels // runs.line, 3), np.int64)
    segments = room[: set_kernels.split_lines(runs.bounds, runs.line, room)]
    roots = np.empty(len(segments), np.int64)
    set_kernels.connect(segments, reach, roots)
    return segments, roots


def _boxes(segments: np.ndarray, roots: np.ndarray) -> np.ndarray:
    boxes = np.zeros((len(segments), 5), np.int64)
    set_kernels.measure(segments, roots, boxes)
    return boxes


def _joined(runs: Runs, segments: np.ndarray, roots: np.ndarray, kept: np.ndarray) -> Runs:
    bounds = np.empty(2 * len(segments), np.int64)
    count = set_kernels.join_lines(segments, roots, kept, runs.line, bounds)
    return Runs(bounds[:count], runs.shape, runs.order)


def _select(masks: Sequence[Runs], units: Sequence[int], low: int, high: int) -> Runs:
    bounds, firsts, like = _together(masks)
    found = np.empty(bounds.size + set_kernels.LANES, np.int64)
    count = set_kernels.select_runs(bounds, firsts, np.array(units, np.int64), low, high, found)
    return Runs(found[:count], like.shape, like.order)


def _together(masks: Sequence[Runs]) -> tuple[np.ndarray, np.ndarray, Runs]:
    """The bounds of all masks, with `_NEVER` behind those of each; where each begins; and the first mask."""
    _check_alike(masks)
    ends = np.cumsum([len(runs.bounds) + 1 for runs in masks])
    bounds = np.concatenate([part for runs in masks for part in (runs.bounds, _NEVER)])
    return bounds, np.concatenate([[0], ends[:-1]]), masks[0]


def _check_alike(masks: Sequence[Runs]) -> None:
    if not masks:
        raise RLEError("there is no mask: expected one or more")
    if len(kinds := {(runs.shape, runs.order) for runs in masks}) > 1:
        found = " and ".join(f"{shape[0]}x{shape[1]} in order {order}" for shape, order in sorted(kinds))
        raise RLEError(f"the masks are {found}: expected one shape (height x width) and order")


def _units(weights: Sequence[float] | None, count: int) -> list[int]:
    if weights is None:
        return [UNIT] * count
    if len(weights) != count or not all(LIGHTEST <= weight <= HEAVIEST for weight in weights):
        shown = ", ".join(f"{weight:g}" for weight in weights)
        raise RLEError(
            f"the weights are {shown}: expected {count} numbers, one for each mask, from {LIGHTEST:g} to {HEAVIEST:g}"
        )
    return [round(weight * UNIT) for weight in weights]
