"""Compiled inner loops of the operations on runs; `bounds` as in `kernels`, runs apart from each other."""

import numpy as np

from maskfold.compiled import compiled_later


@compiled_later
def join_touching(bounds: np.ndarray, joined: np.ndarray) -> int:
    """Write the runs of `bounds` with those that touch made one; returns the number of bounds written."""
    count = 0
    for i in range(0, bounds.size, 2):
        if count and joined[count - 1] == bounds[i]:
            joined[count - 1] = bounds[i + 1]
        else:
            joined[count], joined[count + 1] = bounds[i], bounds[i + 1]
            count += 2
    return count


@compiled_later
def overlap(a: np.ndarray, b: np.ndarray) -> int:
    """Pixels that are in both."""
    i, j, pixels = 0, 0, 0
    while i < a.size and j < b.size:
        begin, end = max(a[i], b[j]), min(a[i + 1], b[j + 1])
        if begin < end:
            pixels += end - begin
        if a[i + 1] < b[j + 1]:
            i += 2
        else:
            j += 2
    return pixels


@compiled_later
def select_runs(
    bounds: np.ndarray, firsts: np.ndarray, weights: np.ndarray, low: int, high: int, found: np.ndarray
) -> int:
    """Write the runs of those pixels where the weights of the masks that hold them add up to `low` … `high`.

    Mask k is `bounds[firsts[k] : firsts[k + 1]]`; `low` is at least 1. `found` has room for all bounds. Returns the
    number of bounds written.
    """
    masks = weights.size
    at, upcoming, never = firsts[:masks].copy(), np.empty(masks, np.int64), np.iinfo(np.int64).max
    for k in range(masks):
        upcoming[k] = bounds[at[k]] if at[k] < firsts[k + 1] else never
    total, count, inside = 0, 0, False
    while True:
        nearest = never
        for k in range(masks):
            nearest = min(nearest, upcoming[k])
        if nearest == never:
            return count
        for k in range(masks):
            if upcoming[k] == nearest:
                total += -weights[k] if (at[k] - firsts[k]) & 1 else weights[k]
                at[k] += 1
                upcoming[k] = bounds[at[k]] if at[k] < firsts[k + 1] else never
        if (low <= total <= high) != inside:
            found[count] = nearest
            count, inside = count + 1, not inside


@compiled_later
def most_voted(
    bounds: np.ndarray, firsts: np.ndarray, weights: np.ndarray, classes: int, begins: np.ndarray, winners: np.ndarray
) -> int:
    """Write where the class with the largest weight changes: its first pixel, and the class from there on.

    Mask k is as in `select_runs`, one of class `k % classes + 1`; a voter that has no class at a pixel is for class 0,
    so 0 has what is left of all weights. Of equals the first class wins. Returns how many changes there are.
    """
    masks = weights.size
    at, upcoming, never = firsts[:masks].copy(), np.empty(masks, np.int64), np.iinfo(np.int64).max
    votes = np.zeros(classes + 1, np.int64)
    for k in range(masks):
        upcoming[k] = bounds[at[k]] if at[k] < firsts[k + 1] else never
        if not k % classes:
            votes[0] += weights[k]
    count, winner = 0, 0
    while True:
        nearest = never
        for k in range(masks):
            nearest = min(nearest, upcoming[k])
        if nearest == never:
            return count
        for k in range(masks):
            if upcoming[k] == nearest:
                change = -weights[k] if (at[k] - firsts[k]) & 1 else weights[k]
                votes[k % classes + 1] += change
                votes[0] -= change
                at[k] += 1
                upcoming[k] = bounds[at[k]] if at[k] < firsts[k + 1] else never
        best = 0
        for value in range(1, classes + 1):
            if votes[value] > votes[best]:
                best = value
        if best != winner:
            begins[count], winners[count] = nearest, best
            count, winner = count + 1, best


@compiled_later
def split_lines(bounds: np.ndarray, length: int, segments: np.ndarray) -> int:
    """Cut runs at the ends of lines of `length` pixels into rows (line, first pixel, end) of `segments`.

    `segments`, int64 (n, 3), has room for the runs and one more for each line. Returns how many there are.
    """
    count = 0
    for i in range(0, bounds.size, 2):
        line = bounds[i] // length
        begin, end = bounds[i] - line * length, bounds[i + 1] - line * length
        while end > length:
            segments[count, 0], segments[count, 1], segments[count, 2] = line, begin, length
            count, line, begin, end = count + 1, line + 1, 0, end - length
        segments[count, 0], segments[count, 1], segments[count, 2] = line, begin, end
        count += 1
    return count


@compiled_later
def connect(segments: np.ndarray, reach: int, roots: np.ndarray) -> None:
    """Give every segment the number of the first segment of its component.

    Segments of neighbouring lines belong together where they overlap, with `reach` 1 also where they only meet at a
    corner: union-find over the lines, each pair of neighbours looked at once (He, Chao & Suzuki, IEEE TIP 2008).
    """
    first = 0  # of the line before, the first segment that ends late enough
    for i in range(len(segments)):
        roots[i] = i
        before = segments[i, 0] - 1
        while first < i and (
            segments[first, 0] < before
            or (segments[first, 0] == before and segments[first, 2] + reach <= segments[i, 1])
        ):
            first += 1
        k = first
        while k < i and segments[k, 0] == before and segments[k, 1] < segments[i, 2] + reach:
            a, b = i, k
            while roots[a] != a:
                roots[a] = roots[roots[a]]
                a = roots[a]
            while roots[b] != b:
                roots[b] = roots[roots[b]]
                b = roots[b]
            roots[max(a, b)] = min(a, b)
            k += 1
    for i in range(len(segments)):
        roots[i] = roots[roots[i]]  # a root comes before all that point at it


@compiled_later
def measure(segments: np.ndarray, roots: np.ndarray, boxes: np.ndarray) -> None:
    """Write into the row of each root first line, end of lines, first pixel, end of pixels and area."""
    for i in range(len(segments)):
        line, begin, end = segments[i]
        root = roots[i]
        if root == i:
            boxes[i, 0], boxes[i, 1], boxes[i, 2], boxes[i, 3], boxes[i, 4] = line, line + 1, begin, end, end - begin
        else:
            boxes[root, 1] = line + 1
            boxes[root, 2] = min(boxes[root, 2], begin)
            boxes[root, 3] = max(boxes[root, 3], end)
            boxes[root, 4] += end - begin


@compiled_later
def join_lines(segments: np.ndarray, roots: np.ndarray, kept: np.ndarray, length: int, bounds: np.ndarray) -> int:
    """Write the runs of the segments whose root is kept; the inverse of `split_lines`. Returns the number of bounds."""
    count = 0
    for i in range(len(segments)):
        if kept[roots[i]]:
            start = segments[i, 0] * length
            if count and bounds[count - 1] == start + segments[i, 1]:
                bounds[count - 1] = start + segments[i, 2]
            else:
                bounds[count], bounds[count + 1] = start + segments[i, 1], start + segments[i, 2]
                count += 2
    return count
