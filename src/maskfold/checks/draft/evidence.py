"""How run lengths are written, told from the strings, the masks they make and the images, and why."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import cv2
import numpy as np

from maskfold.checks.dialect import DAMAGED, choose_reading, evidence
from maskfold.checks.readings import DrawnMask, Reading, all_dialects, read_sample
from maskfold.rle import RLEDialect, RLEError
from maskfold.rle.tokens import parse_text

# Masks that are cut into this many times as many pieces by the other order tell the order.
CUT = 1.5
# Runs at the edges of lines that decide the first number, and how many times as many as by the other.
AT_EDGES, TIMES = 8, 3


@dataclass
class Evidence:
    """How run lengths are written, and why.

    Attributes:
        dialect: without the texts of empty masks.
        reasons: layout, order, start -> why.
        doubts: the keys among them that nothing decides.
        unread: strings of the sample that the dialect cannot read.
        sample: number of masks that were tried.
    """

    dialect: RLEDialect
    reasons: dict[str, str] = field(default_factory=dict)
    doubts: list[str] = field(default_factory=list)
    unread: int = 0
    sample: int = 0


def study(sample: Sequence[DrawnMask]) -> Evidence:
    """What a sample of masks that hold runs shows; `RLEDialect` as it is by default where the sample is empty."""
    if not sample:
        return Evidence(RLEDialect(), doubts=["layout", "order", "start"])
    readings = _readings(sample)
    chosen = choose_reading(tuple(item.id for item in sample), readings).chosen
    found = Evidence(chosen.dialect, unread=chosen.failed, sample=len(sample))
    _about_layout(found, readings, len(sample))
    _about_order(found, sample, chosen, readings)
    _about_start(found, sample)
    return found


def _readings(sample: Sequence[DrawnMask]) -> list[Reading]:
    """COCO's counts where they can be read, which nothing else can be mistaken for; else all others."""
    counts = [read_sample(sample, dialect) for dialect in all_dialects(RLEDialect(layout="counts", start=0))]
    if counts[0].failed <= DAMAGED * len(sample):
        return counts
    return [read_sample(sample, dialect) for dialect in all_dialects(RLEDialect())]


def _about_layout(found: Evidence, readings: Sequence[Reading], count: int) -> None:
    layout = found.dialect.layout
    read = count - found.unread
    others = {
        other: count - min(reading.failed for reading in readings if reading.dialect.layout == other)
        for other in {reading.dialect.layout for reading in readings} - {layout}
    }
    meaning = {
        "counts": "the numbers of a mask add up to the pixels of its image: background and foreground in turn",
        "relative": "starts do not grow: each is the distance from the run before",
        "start-end": "second numbers are larger than the first and never beyond the image: they are ends, not lengths",
        "start-length": "",
    }[layout]
    tried = "; ".join(f"{number} as {other}" for other, number in sorted(others.items()))
    reason = f"{read} of {count} masks that were tried can be read so" + (f", {tried}" if tried else "")
    found.reasons["layout"] = f"{meaning}: {reason}" if meaning else reason
    if read < (1 - DAMAGED) * count or any(number >= read for number in others.values()):
        found.doubts.append("layout")


def _about_order(found: Evidence, sample: Sequence[DrawnMask], chosen: Reading, readings: Sequence[Reading]) -> None:
    dialect = found.dialect
    other = replace(dialect, order="C" if dialect.order == "F" else "F")
    way = {"F": "down the columns", "C": "along the rows"}
    pieces = [_pieces(item, dialect) / _pieces(item, other) for item in sample if _readable(item, dialect, other)]
    against = next((reading for reading in readings if reading.dialect == other), None)
    unread = sum(not _readable(item, other) for item in sample)
    times = 1 / float(np.median(pieces)) if pieces else 1.0
    if times >= CUT:
        worse = np.mean(np.array(pieces) < 1)
        found.reasons["order"] = (
            f"{way[dialect.order]}: read {way[other.order]}, {worse:.0%} of the masks are cut into more "
            f"pieces, typically {times:.0f} times as many"
        )
    elif against is not None and (proof := evidence(chosen, against)):
        found.reasons["order"] = f"{way[dialect.order]}: {proof}"
    elif unread > chosen.failed + DAMAGED * len(sample):
        found.reasons["order"] = (
            f"{way[dialect.order]}: {unread} of {len(sample)} masks cannot be read {way[other.order]}"
        )
    else:
        found.doubts.append("order")
        found.reasons["order"] = (
            f"not certain: read {way[other.order]} the masks look as plausible. Look at some of them over their images "
            "(check_data --html), and swap F and C if they are mirrored on the diagonal"
        )


def _about_start(found: Evidence, sample: Sequence[DrawnMask]) -> None:
    dialect = found.dialect
    if dialect.layout in ("relative", "counts"):
        found.reasons["start"] = "these are distances, not numbers of pixels"
        return
    ends = {start: _edges(sample, replace(dialect, start=start)) for start in (0, 1)}
    outside = {start: count.outside for start, count in ends.items()}
    for start in (0, 1):
        if outside[1 - start] and not outside[start]:
            found.dialect = replace(dialect, start=start)
            found.reasons["start"] = _outside_reason(start, outside[1 - start])
            return
    at_edges = {start: count.at_edges for start, count in ends.items()}
    best = max((1, 0), key=lambda start: at_edges[start])
    if at_edges[best] >= AT_EDGES and at_edges[best] >= TIMES * at_edges[1 - best]:
        found.dialect = replace(dialect, start=best)
        found.reasons["start"] = (
            f"{at_edges[best]} runs begin or end exactly at the image's edge if pixels count from {best}, "
            f"{at_edges[1 - best]} if from {1 - best}"
        )
        return
    found.doubts.append("start")
    found.reasons["start"] = (
        f"not certain, too few runs touch the image's edges: {dialect.start} is what most competitions use"
    )


def _outside_reason(start: Literal[0, 1], count: int) -> str:
    masks = f"{count} masks have" if count > 1 else "one mask has"
    if start == 0:
        return f"pixels count from 0: {masks} a run that begins at 0"
    return f"pixels count from 1: {masks} a run that ends at exactly H * W, outside the image if they counted from 0"


@dataclass(frozen=True)
class _Edges:
    """Runs that begin or end with a line of pixels, and masks with runs outside the image."""

    at_edges: int
    outside: int


def _edges(sample: Iterable[DrawnMask], dialect: RLEDialect) -> _Edges:
    at_edges, outside = 0, 0
    for item in sample:
        height, width = item.shape
        line = height if dialect.order == "F" else width
        beyond = False
        for text in item.strings:
            begins, ends = _bounds(text, dialect)
            at_edges += int(np.count_nonzero(begins % line == 0) + np.count_nonzero(ends % line == 0))
            beyond = beyond or bool((begins < 0).any() or (ends > height * width).any())
        outside += beyond
    return _Edges(at_edges, outside)


def _bounds(text: str, dialect: RLEDialect) -> tuple[np.ndarray, np.ndarray]:
    """Where runs begin, counted from 0, and where they end, exclusive; not checked."""
    try:
        numbers = parse_text(text)
    except RLEError:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    numbers = numbers[: numbers.size // 2 * 2]
    begins = numbers[0::2] - dialect.start
    ends = numbers[1::2] - dialect.start + 1 if dialect.layout == "start-end" else begins + numbers[1::2]
    return begins, ends


def _readable(item: DrawnMask, *dialects: RLEDialect) -> bool:
    try:
        return all(dialect.area(text, item.shape) for text in item.strings for dialect in dialects)
    except RLEError:
        return False


def _pieces(item: DrawnMask, dialect: RLEDialect) -> int:
    """8-connected components of all masks of an image together."""
    mask = np.maximum.reduce([dialect.decode(text, item.shape) for text in item.strings])
    return cv2.connectedComponents(mask, connectivity=8)[0] - 1
