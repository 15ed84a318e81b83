"""Charts as inline SVG: they fill their place at any width, their text keeps its size, and their values can be read.

Places are percentages, and lines live in a stretched coordinate system of `SPAN` units whose strokes do not scale.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

SPAN = 1000  # units of the plot's width and height
TICKS = 5  # of an axis, about
COLOURS = 7  # that the style sheet has: --c0 … ; further series have dashes
GREY = "grey"
DASHES = ("", "7 4", "2 3", "9 3 2 3")


@dataclass(frozen=True)
class Axis:
    """A scale from ``low`` to ``high``, its marks (value, label), and what it is of; ``names``: marks are names."""

    low: float
    high: float
    marks: tuple[tuple[float, str], ...]
    title: str = ""
    log: bool = False
    names: bool = False

    def place(self, value: float) -> float:
        """Where a value is, 0 at the low end to `SPAN` at the high one."""
        low, high, value = (math.log(each) if self.log else each for each in (self.low, self.high, value))
        return round((value - low) / (high - low) * SPAN, 1)


@dataclass(frozen=True)
class Series:
    """What is drawn in one colour.

    Attributes:
        name: in the key; empty: not listed there.
        kind: ``line`` through the points, ``points``, ``bars`` from ``base`` up to y, ``ticks`` across at y, or
            ``spans`` from ``base`` to x, along the axis.
        base: where bars or spans begin, one number each; empty: at the axis.
        widths: of bars and ticks, in units of x.
        colour: number of the style sheet's colour, or `GREY`.
        dash: number of `DASHES`.
        notes: what is read at each point; empty: the value.
        read: whether its values are read at all.
        drawn: whether it is drawn, or read only.
    """

    name: str
    x: Sequence[float]
    y: Sequence[float]
    kind: Literal["line", "points", "bars", "ticks", "spans"] = "line"
    base: Sequence[float] = ()
    widths: Sequence[float] = ()
    colour: int | str = 0
    dash: int = 0
    notes: Sequence[str] = ()
    read: bool = True
    drawn: bool = True

    @property
    def style(self) -> str:
        """The class that gives it its colour."""
        return self.colour if isinstance(self.colour, str) else f"c{self.colour % COLOURS}"

    @property
    def dashes(self) -> str:
        """Of its stroke, as SVG writes them; empty: none."""
        return DASHES[self.dash % len(DASHES)]


@dataclass(frozen=True)
class Chart:
    """A chart for the page: its title, a sentence on what it shows, its axes, and what is drawn and read.

    ``nearest``: it is read point by point, the nearest one, rather than all series at one x.
    """

    title: str
    text: str
    x: Axis
    y: Axis
    series: tuple[Series, ...]
    nearest: bool = False

    @property
    def key(self) -> list[Series]:
        """What the key lists."""
        return [series for series in self.series if series.name]

    @property
    def paths(self) -> list[tuple[Series, str]]:
        """Each series and its path, in units of `SPAN`."""
        return [(series, _path(series, self.x, self.y)) for series in self.series if series.drawn]

    @property
    def margin(self) -> int:
        """Characters that the labels of the y axis need."""
        return max((len(label) for _, label in self.y.marks), default=0) + 1

    @property
    def lines(self) -> int:
        """Lines of the labels of the x axis."""
        return max((label.count("\n") + 1 for _, label in self.x.marks), default=0)

    def across(self, value: float) -> float:
        """Where a value of x is, in % from the left."""
        return round(100 / SPAN * self.x.place(value), 2)

    def up(self, value: float) -> float:
        """Where a value of y is, in % from the top."""
        return round(100 - 100 / SPAN * self.y.place(value), 2)

    @property
    def readings(self) -> str:
        """JSON for ``common.js``: of every series that is read its name's place in the key, and its points.

        A point is x and y in units of `SPAN`, and what x and y say.
        """
        found = []
        for series in self.series:
            if not series.read:
                continue
            notes = series.notes or [number_text(y) for y in series.y]
            points = [
                [self.x.place(x), SPAN - self.y.place(y), "" if series.kind == "bars" else _label(x, self.x), str(note)]
                for x, y, note in zip(series.x, series.y, notes, strict=True)
                if y == y
            ]
            found.append({"key": self.key.index(series) if series.name else -1, "points": points})
        return json.dumps({"x": self.x.title, "nearest": self.nearest, "series": found}, ensure_ascii=False)


def vertical(value: float, y: Axis, name: str = "", *, colour: int | str = 1, dash: int = 1) -> Series:
    """A line from the bottom to the top."""
    return Series(name, (value, value), (y.low, y.high), colour=colour, dash=dash, read=False)


def histogram(name: str, values: np.ndarray, edges: np.ndarray, *, colour: int = 0, unit: str = "") -> Series:
    """Bars of how many values are between two edges, the last one included."""
    counts, edges = np.histogram(values, edges)
    notes = [
        f"{number_text(low)} to {number_text(high)}: {count:,}{unit}"
        for low, high, count in zip(edges[:-1], edges[1:], counts, strict=True)
    ]
    middle, widths = (edges[:-1] + edges[1:]) / 2, np.diff(edges)
    return Series(name, middle.tolist(), counts.tolist(), "bars", widths=widths.tolist(), colour=colour, notes=notes)


def around(values: Sequence[float], title: str = "", *, zero: bool = False) -> Axis:
    """An axis whose marks are round numbers that enclose the values, and 0 if asked; NaN is left out."""
    known = [value for value in values if math.isfinite(value)] or [0.0, 1.0]
    marks = ticks([*known, 0.0] if zero else known)
    return Axis(marks[0], marks[-1], _labelled(marks), title)


def between(low: float, high: float, title: str = "") -> Axis:
    """An axis from ``low`` to ``high``, marked at the round numbers in between."""
    if low == high:
        low, high = low - 0.5, high + 0.5
    marks = [mark for mark in ticks([low, high]) if low - 1e-9 <= mark <= high + 1e-9]
    return Axis(low, high, _labelled(marks), title)


def whole_numbers(low: int, high: int, title: str = "") -> Axis:
    """An axis of whole numbers, such as epochs, marked at some of them."""
    step = max(1, round(ticks([0, max(1, high - low)])[1]))
    marks = tuple((float(mark), str(mark)) for mark in range(low, high + 1) if (mark - low) % step == 0)
    return Axis(low, high, marks, title) if high > low else Axis(low - 0.5, high + 0.5, marks, title)


def powers(low: float, high: float, title: str = "") -> Axis:
    """A logarithmic axis, marked at powers of ten and, where there are few, at twos and fives."""
    exponents = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    factors = (1, 2, 5) if len(exponents) < 4 else (1,)
    marks = [mark for power in exponents for factor in factors if low <= (mark := factor * 10.0**power) <= high]
    shown = tuple((mark, f"{mark:g}") for mark in marks) if len(marks) > 1 else between(low, high).marks
    return Axis(low, high, shown, title, log=True)


def named(names: Sequence[str], title: str = "") -> Axis:
    """An axis of names, at 0, 1, 2 …"""
    return Axis(
        -0.5, len(names) - 0.5, tuple((float(place), name) for place, name in enumerate(names)), title, names=True
    )


def ticks(values: Sequence[float]) -> list[float]:
    """Round numbers, evenly spaced, that enclose the values."""
    low, high = min(values), max(values)
    rough = max(high - low, 1e-4 * max(1.0, abs(high))) / TICKS
    power = 10 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough)
    first, last = math.floor(low / step), math.ceil(high / step)
    return [place * step for place in range(first, max(last, first + 1) + 1)]


def number_text(value: float) -> str:
    """A number as a reader wants it: four digits, whole ones whole."""
    return f"{value:,.0f}" if float(value).is_integer() and abs(value) < 1e15 else f"{value:.4g}"


def _labelled(marks: Sequence[float]) -> tuple[tuple[float, str], ...]:
    step = marks[1] - marks[0] if len(marks) > 1 else 1.0
    decimals = max(0, -math.floor(math.log10(step) + 1e-9))
    return tuple((mark, f"{mark:.{decimals}f}") for mark in marks)


def _label(value: float, axis: Axis) -> str:
    """What a value on an axis is called: its name, where it has one."""
    return next((label for mark, label in axis.marks if mark == value), number_text(value))


def _path(series: Series, x: Axis, y: Axis) -> str:
    parts, joined = [], False
    base = list(series.base) or [y.low if series.kind != "spans" else x.low] * len(series.x)
    halves = [width / 2 for width in series.widths] or [0.0] * len(series.x)
    for across, up, start, half in zip(series.x, series.y, base, halves, strict=True):
        if not (math.isfinite(across) and math.isfinite(up)):
            joined = False
            continue
        right, top = x.place(across), round(SPAN - y.place(up), 1)
        if series.kind == "line":
            parts.append(f"{'L' if joined else 'M'}{right:g} {top:g}")
            joined = True
        elif series.kind == "points":
            parts.append(f"M{right:g} {top:g}h.01")
        elif series.kind == "spans":
            parts.append(f"M{x.place(start):g} {top:g}H{right:g}")
        else:
            left, right = x.place(across - half), x.place(across + half)
            bottom = f"V{SPAN - y.place(start):g}H{left:g}Z" if series.kind == "bars" else ""
            parts.append(f"M{left:g} {top:g}H{right:g}{bottom}")
    return "".join(parts)
