"""The board as one page: the table of runs, the submissions, and what a local score has been worth."""

from pathlib import Path
from typing import Any

from maskfold.board.board import Board
from maskfold.board.columns import COLUMNS, Column, number, sorted_entries
from maskfold.board.entry import Entry
from maskfold.board.gap import Gap
from maskfold.files import write_file
from maskfold.report.chart import Axis, Chart, Series, around
from maskfold.report.page import refuse_other_suffix, render_page


def write_board_page(board: Board, path: Path, sort: str = "score") -> None:
    """Write the page, sorted by a column of `COLUMNS`; ``path`` is replaced as a whole.

    Raises:
        ReportError: another suffix than .html.
    """
    refuse_other_suffix(path)
    write_file(path, board_page(board, sort))


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
        scatters=[(gap, scatter(gap)) for gap in board.gaps],
        number=number,
    )


def scatter(gap: Gap) -> Chart:
    """Where each submission stands; where the leaderboard is the local score plus the mean gap, and its spread."""
    local = [submission.local or 0.0 for submission in gap.submissions]
    board = [submission.leaderboard or 0.0 for submission in gap.submissions]
    x, y = around(local, "local score"), around(board, "leaderboard")
    notes = [
        f"{each.file}: local {across:.4f}, leaderboard {up:.5g}"
        for across, up, each in zip(local, board, gap.submissions, strict=True)
    ]
    sides = [_shifted("", gap.mean + sign * (gap.spread or 0), x, y, dash=2) for sign in (-1, 1) if gap.spread]
    lines = [_shifted("local score plus the mean gap", gap.mean, x, y, dash=1), *sides]
    text = (
        f"{len(notes)} submissions, local {min(local):.4f} to {max(local):.4f}, leaderboard {min(board):.5g} to "
        f"{max(board):.5g}"
    )
    points = Series("", local, board, "points", notes=notes)
    series = (*(line for line in lines if line is not None), points)
    return Chart("Submissions", text, x, y, series, nearest=True)


def _shifted(name: str, gap: float, x: Axis, y: Axis, *, dash: int) -> Series | None:
    """Where the leaderboard's score is the local one plus ``gap``; None: outside of the plot."""
    low, high = max(x.low, y.low - gap), min(x.high, y.high - gap)
    if low >= high:
        return None
    return Series(name, (low, high), (low + gap, high + gap), colour=1, dash=dash, read=False)


def _cell(column: Column, entry: Entry) -> dict[str, Any]:
    value = column.value(entry)
    return {"column": column, "text": column.text(entry), "value": "" if value is None else value}
