"""Bars for people, lines for files."""

import sys

import pytest

from maskfold import progress as module


@pytest.fixture
def clock(monkeypatch):
    """A clock that moves four seconds at every look."""
    ticks = iter(range(0, 1000, 4))
    monkeypatch.setattr(module.time, "monotonic", lambda: next(ticks))


def test_lines_come_every_ten_seconds(clock, capsys):
    assert list(module.progress("abcdefgh", "predict", total=8)) == list("abcdefgh")
    # Looked at after 4, 8, 12 (a line; the clock moves once more), 20, 24, 28 (a line) … seconds.
    assert capsys.readouterr().err == "predict: 3 of 8 images\npredict: 6 of 8 images\n"


def test_short_work_is_silent(capsys):
    assert list(module.progress(range(5), "masks", total=5, unit="mask")) == [0, 1, 2, 3, 4]
    assert capsys.readouterr().err == ""


def test_a_terminal_gets_a_bar(monkeypatch, capsys):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    assert list(module.progress([7, 8], "predict", total=2)) == [7, 8]
    assert "predict:   0%" in capsys.readouterr().err
