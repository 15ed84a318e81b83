"""report.py as a user runs it."""

import re

import pytest
from tests.report.conftest import fake_run
from tests.report.html import Page


@pytest.fixture
def runs(here):
    for name, noise in (("a", 0.2), ("b", 0.3)):
        fake_run(here / "runs", name, noise=noise, **{"competition.root": "data/mine"})
    return here / "runs"


def test_a_run_before_and_after_tuning(runs, script):
    done = script("report", "--runs", "runs/a")
    assert done.code == 0, done.err
    assert re.search(r"^Report: runs/a/report.html \(\d+ images, 0\.\d MB\)$", done.out, re.MULTILINE)
    assert done.out.splitlines()[-1] == "Next: python src/tune.py --runs runs/a"
    assert "not tuned" in (runs / "a/report.html").read_text()
    assert script("tune", "--runs", "runs/a").code == 0
    again = script("report", "--runs", "runs/a", "--out", "page.html", "--images", "3")
    assert again.code == 0, again.err
    assert again.out.splitlines()[-1] == "Next: python src/predict.py --runs runs/a"
    assert "cross-fitted" in (runs.parent / "page.html").read_text()


def test_two_runs(runs, script):
    done = script("report", "--runs", "runs/a", "runs/b")
    assert done.code == 0, done.err
    page = Page((runs / "a+b/report.html").read_text()).root
    assert page.one("title").text == "Report: a + b"
    assert done.out.splitlines()[-1] == "Next: python src/tune.py --runs runs/a runs/b"


def test_errors_are_one_message(runs, script):
    assert "expected one ending in .html" in script("report", "--runs", "runs/a", "--out", "a.csv").err
    assert "runs/c is not a run" in script("report", "--runs", "runs/c").err
    fake_run(runs, "part", folds=(1,), **{"competition.root": "data/mine"})
    done = script("report", "--runs", "runs/a", "runs/part")
    assert done.code == 1
    assert "train the same folds of both" in done.err
    assert done.err.count("\n") == 1
