"""board.py as a user runs it."""

import pytest
from tests.board.conftest import drawn_run


@pytest.fixture
def runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, quality in (("good", 0.9), ("weak", 0.5)):
        drawn_run(tmp_path / "runs", name, quality=quality)
    return tmp_path


def order(text):
    return [line.split()[0] for line in text.splitlines() if line.startswith(("good ", "weak "))]


def test_the_table_sorted_and_compared(runs, script):
    done = script("board")
    assert done.code == 0, done.err
    assert order(done.out) == ["good", "weak"]
    assert "difference: from good, on the images" in done.out
    assert done.out.splitlines()[-1] == "Next: python src/report.py --runs runs/good"
    assert not (runs / "runs/board.html").exists()
    turned = script("board", "--sort", "difference", "--reference", "runs/weak")
    assert order(turned.out) == ["good", "weak"]
    assert "difference: from weak" in turned.out
    assert order(script("board", "--sort", "changes", "--runs", "runs/weak").out) == ["weak"]


def test_the_page_and_its_name(runs, script):
    done = script("board", "--html")
    assert "Page: runs/board.html" in done.out
    assert (runs / "runs/board.html").read_text().startswith("<!doctype html>")
    assert "'b.txt': expected a name ending in .html" in script("board", "--html", "b.txt").err


def test_what_is_not_there(runs, script):
    assert "there is no run goood among those shown: did you mean good?" in script("board", "--reference", "goood").err
    assert script("board", "--sort", "colour").code == 2
    (runs / "runs").rename(runs / "other")
    assert script("board").err.startswith("error: there is no run under runs/: train first")
