"""Neighbours on the board, and the chart of local and leaderboard scores."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from maskfold.board.board import Board
from maskfold.board.entry import Entry
from maskfold.board.gap import Gap, Submission
from maskfold.config import Config
from maskfold.report.beside import look_beside
from maskfold.report.board_page import scatter


def submission(file, runs, local=0.8, leaderboard=0.79):
    return Submission("2026-01-01", file, runs, "0 1", "p", local, leaderboard)


def test_three_runs_above_and_below_and_the_submissions_of_exactly_this_run():
    config = Config()
    entries = [Entry(name, f"runs/{name}", config, score=0.9 - place / 100) for place, name in enumerate("abcdefghi")]
    noted = [submission("1.csv", "e"), submission("2.csv", "e d"), submission("3.csv", "d"), submission("4.csv", "e")]
    run = SimpleNamespace(name="e", path=Path("runs/e"), config=config)
    found = look_beside(Board(entries[::-1], None, noted, [], []), [run])
    assert "".join(cells[0] for _, cells in found.rows) == "bcdefgh"
    assert [cells[0] for own, cells in found.rows if own] == ["e"]
    assert (found.place, found.of) == (5, 9)
    assert [each.file for each in found.submissions] == ["4.csv", "1.csv"]
    both = look_beside(Board(entries, None, noted, [], []), [run, SimpleNamespace(name="d", path=Path("runs/d"))])
    assert [each.file for each in both.submissions] == ["2.csv"]


def test_lines_beside_the_mean_gap_are_a_standard_deviation_away():
    two = (submission("1.csv", "a", 0.8, 0.81), submission("2.csv", "a", 0.85, 0.9))
    chart = scatter(Gap("p", two, 0.03, 0.01, 1, None, 0.05))
    gaps = sorted(up - across for series in chart.series if series.kind == "line" for across, up in [_start(series)])
    assert gaps == pytest.approx([0.02, 0.03, 0.04])


def _start(series):
    return series.x[0], series.y[0]
