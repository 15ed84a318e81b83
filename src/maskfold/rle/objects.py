"""Objects of an image, each a mask of its own: which of several voters' objects are the same, and which most have.

Objects here are never empty. Two are the same where their IoU is greater than 0.5, so of objects that do not overlap
each has one match at most.
"""

from collections.abc import Iterator, Sequence
from itertools import accumulate, combinations

import numpy as np

from maskfold.rle import ops
from maskfold.rle.runs import Runs

Objects = Sequence[Runs]
"""Those of one voter, all of one shape and order."""


def vote(
    voters: Sequence[Objects], weights: Sequence[float] | None = None, *, least: float | None = None
) -> list[Runs]:
    """The objects that enough voters have, each where more than half of those that have it say; none overlap.

    Args:
        voters: one or more, of each the objects.
        weights: of each voter, as in `ops.vote`; `None`: 1 each.
        least: weight that is enough to keep an object; `None`: more than half of all. Not about its pixels.

    Returns:
        In the order in which the voters have them. A pixel of two of them is the last one's.

    Raises:
        RLEError: as `ops.vote`.
    """
    groups = same(voters)
    shares = [1.0] * len(voters) if weights is None else weights
    found = []
    for place in _kept(groups, len(voters), shares, least):
        group = groups[place]
        found.append(ops.vote(list(group.values()), [shares[voter] for voter in group]))
    return apart(found)


def same(voters: Sequence[Objects]) -> list[dict[int, Runs]]:
    """Groups of objects that are the same: of each the voters' places and their objects, one of a voter at most.

    The pairs that are most alike are joined first. An object that is nobody else's is a group of its own.

    Raises:
        RLEError: objects of different shapes or orders.
    """
    objects = [own for part in voters for own in part]
    groups = [{voter: place} for place, voter in enumerate(_owners(voters))]
    for _, a, b in sorted(_pairs(voters), key=lambda pair: (-pair[0], *pair[1:])):
        if groups[a].keys().isdisjoint(groups[b]):
            joined = {**groups[a], **groups[b]}
            for place in joined.values():
                groups[place] = joined
    firsts = (group for place, group in enumerate(groups) if place == min(group.values()))
    return [{voter: objects[group[voter]] for voter in sorted(group)} for group in firsts]


def agreement(a: Objects, b: Objects) -> float:
    """F1 of objects, 2 |same| / (|A| + |B|); 1 where neither has any; raises as `same`."""
    total = len(a) + len(b)
    return 2 * sum(len(group) > 1 for group in same([a, b])) / total if total else 1.0


def apart(objects: Objects) -> list[Runs]:
    """The objects without pixels that a later one has, too, and without those that keep none; raises as `same`."""
    found: list[Runs] = []
    taken = None
    for own in reversed(objects):
        left = own if taken is None else ops.intersection(own, ops.complement(taken))
        taken = own if taken is None else ops.union(own, taken)
        found += [left] if len(left) else []
    return found[::-1]


def _owners(voters: Sequence[Objects]) -> list[int]:
    return [voter for voter, objects in enumerate(voters) for _ in objects]


def _pairs(voters: Sequence[Objects]) -> Iterator[tuple[float, int, int]]:
    """(IoU, a, b) of the objects of two voters that are the same, by their places among all objects."""
    starts = [0, *accumulate(map(len, voters))]
    boxes = [np.array([ops.bounding_box(own) for own in objects]).reshape(-1, 4) for objects in voters]
    for i, j in combinations(range(len(voters)), 2):
        low = np.maximum(boxes[i][:, None, :2], boxes[j][None, :, :2])
        high = np.minimum(boxes[i][:, None, 2:], boxes[j][None, :, 2:])
        for a, b in np.argwhere((low < high).all(axis=-1)).tolist():
            if (alike := ops.iou(voters[i][a], voters[j][b])) > 0.5:
                yield alike, starts[i] + a, starts[j] + b


def _kept(
    groups: Sequence[dict[int, Runs]], voters: int, weights: Sequence[float], least: float | None
) -> Sequence[int]:
    """The places of the groups that enough voters have: `ops.vote`, with a pixel for each group."""
    there = np.zeros((voters, 1, len(groups) + 1), np.uint8)  # the last one is nobody's: there is always a pixel
    for place, group in enumerate(groups):
        there[list(group), 0, place] = 1
    return np.flatnonzero(ops.vote([Runs.of_mask(row) for row in there], weights, least=least).mask()).tolist()
