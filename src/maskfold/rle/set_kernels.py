"""Compiled inner loops of the operations on runs; `bounds` as in `kernels`, runs apart from each other."""

import numpy as np

from maskfold.compiled import compiled_later


@compiled_later
def join_touching(bounds: np.ndarray) -> int:
    """Make one run of those that touch, in place; returns the number of bounds that are left."""
    count = 0
    for i in range(0, bounds.size, 2):
        if count and bounds[count - 1] == bounds[i]:
            bounds[count - 1] = bounds[i + 1]
        else:
            bounds[count], bounds[count + 1] = bounds[i], bounds[i + 1]
            count += 2
    return count


@compiled_later
def overlap(a: np.ndarray, b: np.ndarray) -> tuple[int, int, int]:
    """Pixels that are in both, in `a` and in `b`."""
    i, j, pixels, first, second = 0, 0, 0, 0, 0
    for k in range(0, a.size, 2):
        first += a[k + 1] - a[k]
    for k in range(0, b.size, 2):
        second += b[k + 1] - b[k]
    while i < a.size and j < b.size:
        begin, end = max(a[i], b[j]), min(a[i + 1], b[j + 1])
        if begin < end:
            pixels += end - begin
        if a[i + 1] < b[j + 1]:
            i += 2
        else:
            j += 2
    return pixels, first, second


LANES = 2  # parts of the mask that `select_runs` goes through at the same time


@compiled_later
def select_runs(
    bounds: np.ndarray, firsts: np.ndarray, weights: np.ndarray, low: int, high: int, found: np.ndarray
) -> int:
    """Write the runs of those pixels where the weights of the masks that hold them add up to `low` … `high`.

    The bounds of mask k begin at `firsts[k]`, and the largest of all numbers ends them; `low` is at least 1. `found`
    has room for all bounds and `LANES` more. Returns the number of bounds written.

    Each bound waits for the one before, which leaves a processor idle most of the time: so the mask is cut into parts
    of some equal work, and the bounds of all parts are looked at in turn.
    """
    masks, never = weights.size, np.iinfo(np.int64).max
    at, signed = np.empty((LANES, masks), np.int64), np.empty((LANES, masks), np.int64)
    upcoming = np.empty((LANES, masks), np.int64)
    stops = np.full(LANES, never)
    places, totals, inside = np.zeros(LANES, np.int64), np.zeros(LANES, np.int64), np.zeros(LANES, np.int64)
    starts, counts = np.zeros(LANES, np.int64), np.zeros(LANES, np.int64)
    first_size = (firsts[1] if masks > 1 else bounds.size) - 1
    for lane in range(LANES):
        cut = bounds[lane * first_size // LANES] if lane else np.int64(0)
        places[lane], starts[lane] = cut, lane
        if lane:
            stops[lane - 1] = cut
        for k in range(masks):
            end = firsts[k + 1] if k + 1 < masks else bounds.size
            before = np.searchsorted(bounds[firsts[k] : end], cut)
            odd = before & 1
            at[lane, k], starts[lane] = firsts[k] + before, starts[lane] + before
            upcoming[lane, k] = bounds[firsts[k] + before]
            signed[lane, k] = weights[k] * (1 - 2 * odd)
            totals[lane] += weights[k] * odd
        inside[lane] = np.int64((totals[lane] >= low) & (totals[lane] <= high))
    going = True
    while going:
        going = False
        for lane in range(LANES):
            place = places[lane]
            if place == never:
                continue
            going = True
            first, nearest = 0, upcoming[lane, 0]
            for k in range(1, masks):
                bound = upcoming[lane, k]
                closer = bound < nearest
                first = k if closer else first
                nearest = bound if closer else nearest
            nearest = nearest if nearest < stops[lane] else never
            # All masks that change at one pixel come one after the other: whether it is inside is known behind them.
            # No branch depends on it, since none could be predicted.
            total = totals[lane]
            flips = np.int64(nearest != place) & (np.int64((total >= low) & (total <= high)) ^ inside[lane])
            found[starts[lane] + counts[lane]] = place
            counts[lane] += flips
            inside[lane] ^= flips
            places[lane] = nearest
            change = signed[lane, first]
            totals[lane] = total + change
            signed[lane, first] = -change
            at[lane, first] += np.int64(nearest != never)
            upcoming[lane, first] = bounds[at[lane, first]]
    count = counts[0]
    for lane in range(1, LANES):
        for number in range(counts[lane]):
            found[count] = found[starts[lane] + number]
            count += 1
    return int(count)


@compiled_later
def most_voted(
    bounds: np.ndarray,
    firsts: np.ndarray,
    weights: np.ndarray,
    equal: int,
    classes: int,
    begins: np.ndarray,
    winners: np.ndarray,
) -> int:
    """Write where the class with the largest weight changes: its first pixel, and the class from there on.

    Masks are as in `select_runs`, mask k one of class `k % classes + 1`; a voter that has no class at a pixel is for
    class 0, so 0 has what is left of all weights. Of equals, which differ by at most `equal`, the first class wins.
    Returns how many changes there are.
    """
    at, signed, never = firsts.copy(), weights.copy(), np.iinfo(np.int64).max
    upcoming, votes = bounds[firsts], np.zeros(classes + 1, np.int64)
    votes[0] = weights[::classes].sum()
    count, winner, place = 0, 0, np.int64(0)
    while place != never:
        first = upcoming.argmin()
        nearest = upcoming[first]
        if nearest != place:
            best = 0
            for k in range(1, classes + 1):
                best = k if votes[k] > votes[best] + equal else best
            if best != winner:
                begins[count], winners[count] = place, best
                count, winner = count + 1, best
        place = nearest
        votes[first % classes + 1] += signed[first]
        votes[0] -= signed[first]
        signed[first] = -signed[first]
        at[first] += place != never
        upcoming[first] = bounds[at[first]]
    return count


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
