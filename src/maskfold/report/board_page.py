"""The board as one page: the table of runs, the submissions, and what a local score has been worth."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from maskfold.board.board import Board
from maskfold.board.columns import COLUMNS, Column, number, sorted_entries
from maskfold.board.entry import Entry
from maskfold.board.gap import Gap
from maskfold.files import atomic_path
from maskfold.report.page import refuse_other_suffix, render_page

TICKS = 5  # of an axis, about
WIDTH, HEIGHT = 520, 380  # of a scatter, in units of its viewBox
LEFT, TOP, RIGHT, BOTTOM = 64, 28, 506, 330  # of the plot inside it

Line = tuple[float, float, float, float]


@dataclass(frozen=True)
class Scatter:
    """Local scores beside the leaderboard's, as places in an SVG of `WIDTH` by `HEIGHT`.

    Attributes:
        points: x, y and what to say about the submission.
        across, up: place and label of the axes' ticks.
        line: x1, y1, x2, y2 of where the leaderboard is the local score plus the mean gap; None: outside.
        sides: the same for the mean gap less and plus its standard deviation, where they are inside.
        text: what the picture shows, in words.
    """

    gap: Gap
    points: list[tuple[float, float, str]]
    across: list[tuple[float, str]]
    up: list[tuple[float, str]]
    line: Line | None
    sides: list[Line]
    text: str


def write_board_page(board: Board, path: Path, sort: str = "score") -> None:
    """Write the page, sorted by a column of `COLUMNS`; ``path`` is replaced as a whole.

    Raises:
        ReportError: another suffix than .html.
    """
    refuse_other_suffix(path)
    with atomic_path(path) as temporary:
        temporary.write_text(board_page(board, sort), encoding="utf-8")


def board_page(board: Board, sort: str = "score") -> str:
    """The whole page."""
    column = next(column for column in COLUMNS if column.name == sort)
    entries = sorted_entries(board.entries, column)
    scored = [entry for entry in entries if entry.score is not None]
    return render_page(
        "board.html",
        script="board.js",
        title=f"Board: {len(entries)} run{'s' * (len(entries) != 1)}",
        board=board,
        columns=COLUMNS,
        sort=column,
        rows=[(entry, [_cell(column, entry) for column in COLUMNS]) for entry in entries],
        best=max(scored, key=lambda entry: entry.score or 0, default=None),
        hours=sum(entry.hours or 0 for entry in entries),
        scatters=[scatter(gap) for gap in board.gaps],
        number=number,
        size=(WIDTH, HEIGHT),
        plot=(LEFT, TOP, RIGHT, BOTTOM),
    )


def scatter(gap: Gap) -> Scatter:
    """Where each submission stands."""
    local = [submission.local or 0.0 for submission in gap.submissions]
    board = [submission.leaderboard or 0.0 for submission in gap.submissions]
    across, up = ticks(local), ticks(board)
    points = [
        (_place(x, across, LEFT, RIGHT), _place(y, up, BOTTOM, TOP), f"{each.file}: local {x:.4f}, leaderboard {y:.5g}")
        for x, y, each in zip(local, board, gap.submissions, strict=True)
    ]
    text = (
        f"{len(points)} submissions, local {min(local):.4f} to {max(local):.4f}, leaderboard {min(board):.5g} to "
        f"{max(board):.5g}"
    )
    sides = [_shifted(gap.mean + sign * (gap.spread or 0), across, up) for sign in (-1, 1) if gap.spread]
    return Scatter(
        gap,
        points,
        _labelled(across, LEFT, RIGHT),
        _labelled(up, BOTTOM, TOP),
        _shifted(gap.mean, across, up),
        [line for line in sides if line is not None],
        text,
    )


def _shifted(gap: float, across: Sequence[float], up: Sequence[float]) -> Line | None:
    """Where the leaderboard's score is the local one plus ``gap``; None: outside of the plot."""
    low, high = max(across[0], up[0] - gap), min(across[-1], up[-1] - gap)
    if low >= high:
        return None
    ends = [(_place(x, across, LEFT, RIGHT), _place(x + gap, up, BOTTOM, TOP)) for x in (low, high)]
    return *ends[0], *ends[1]


def ticks(values: Sequence[float]) -> list[float]:
    """Round numbers, evenly spaced, that enclose the values."""
    low, high = min(values), max(values)
    rough = max(high - low, 1e-4 * max(1.0, abs(high))) / TICKS
    power = 10 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough)
    first, last = math.floor(low / step), math.ceil(high / step)
    return [place * step for place in range(first, max(last, first + 1) + 1)]


def _place(value: float, marks: Sequence[float], start: float, end: float) -> float:
    return round(start + (value - marks[0]) / (marks[-1] - marks[0]) * (end - start), 1)


def _labelled(marks: Sequence[float], start: float, end: float) -> list[tuple[float, str]]:
    decimals = max(0, -math.floor(math.log10(marks[1] - marks[0]) + 1e-9))
    return [(_place(mark, marks, start, end), f"{mark:.{decimals}f}") for mark in marks]


def _cell(column: Column, entry: Entry) -> dict[str, Any]:
    value = column.value(entry)
    return {"column": column, "text": column.text(entry), "value": "" if value is None else value}
