"""The gallery's script on the tiny competition: a page that is whole, asks for nothing and escapes what it shows."""

import re
import runpy
import shutil
from pathlib import Path

import pytest
from tests.conftest import TINY
from tests.documents import ROOT
from tests.drawn_runs import random_run
from tests.report.html import Page

from maskfold.competitions import open_competition
from maskfold.config import load_config
from maskfold.runs.statistics import FoldStatistics, write_statistics
from maskfold.scoring.evaluate import evaluate_submission

TABLE = """# Experiments

## tiny

What do <b>bold</b> & plain variants gain?

Config `tiny`; folds 0.

| variant | dice | against | difference of dice, 95 % interval | verdict | a training |
| --- | --- | --- | --- | --- | --- |
| plain | 0.5000 |  |  |  | 3 s |
| <i>up</i> | 0.6000 | plain | +0.1000 (-0.0500 to +0.3000) | undecided | 3 s |
| down | 0.4000 | plain | -0.1000 (-0.1500 to -0.0500) | drop | 3 s |

## other

| variant | no |
"""


@pytest.fixture
def gallery():
    return runpy.run_path(str(ROOT / "docs" / "make_gallery.py"))


@pytest.fixture
def folder(drawn, tmp_path, monkeypatch):
    """What ``make demo`` leaves, tiny: the first submission sees nothing, the second is right."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(drawn, "data")
    (tmp_path / "submissions").mkdir()
    shutil.copy(drawn / "test_a_samplesubmit.csv", "submissions/demo_one_fold.csv")
    shutil.copy(drawn / "test_a_truth.csv", "submissions/demo_ensemble.csv")
    config = load_config(None, {**TINY, "competition.root": "data"}, name="tiny")
    run = random_run(tmp_path / "runs", config)
    competition = open_competition(config.competition)
    right = evaluate_submission(Path("submissions/demo_ensemble.csv"), Path("data/test_a_truth.csv"), competition)
    found = FoldStatistics("dice", competition.labels, list(right.ids), right.stats)
    write_statistics(run.fold(0), config.inference.checkpoint, found)
    (tmp_path / "experiments.md").write_text(TABLE)
    return tmp_path


def cells(section):
    """The texts of a section's table, row by row."""
    return [[cell.text for cell in row.children] for row in section.all("tr")]


@pytest.mark.slow
def test_the_page_of_tiny_runs(gallery, folder, monkeypatch):
    monkeypatch.setitem(gallery["main"].__globals__, "EXPERIMENTS", folder / "experiments.md")
    words = "--demo runs/tiny --runs runs/tiny --study tiny --tiles 3 2 --out page.html"
    gallery["main"](words.split())
    text = (folder / "page.html").read_text()
    assert "<i>up" not in text
    assert not re.search(r"(?:src|href)=\"(?!data:|#)|<script|url\(", text)
    page = Page(text).root
    sections = {section.attributes["id"]: section for section in page.all("section")}
    assert list(sections) == ["demo", "run", "board", "study", "raster"]
    assert "one fold without views: dice 0." in sections["demo"].text
    assert "tuned decoding: dice 1.0000" in sections["demo"].text
    pictures = list(sections["demo"].all("img"))
    assert len(pictures) == 3 * 4
    assert all(img.attributes["alt"] and img.attributes["src"].startswith("data:image/webp") for img in pictures)
    assert ["dice out of fold", "1.0000 (1.0000 to 1.0000)"] in cells(sections["run"])
    assert cells(sections["board"])[1][:2] == ["tiny", "1.0000"]
    up = ["<i>up</i>", "0.6000", "plain", "+0.1000 (-0.0500 to +0.3000)", "undecided"]
    assert cells(sections["study"])[2] == up
    assert "144 x 96 pixels" in sections["raster"].text
    assert len(list(sections["raster"].all("img"))) == 3


def test_intervals_are_drawn_to_scale(gallery):
    drawn = gallery["intervals"]({"up": "+0.1000 (-0.0500 to +0.3000)", "down": "-0.1000 (-0.1500 to -0.0500)"})
    up, down = drawn["bars"]
    step = 300 / 0.45
    assert [up[key] for key in ("start", "middle", "end")] == [round(200 + step * x, 1) for x in (0.1, 0.25, 0.45)]
    assert [down[key] for key in ("start", "middle", "end")] == [round(200 + step * x, 1) for x in (0, 0.05, 0.1)]
    assert drawn["zero"] == round(200 + step * 0.15, 1)
    assert (up["low"], down["low"]) == (False, True)


def test_a_section_that_is_not_there_is_said(gallery, folder):
    with pytest.raises(SystemExit, match=r"experiments\.md has no section nothing"):
        gallery["study_section"](folder / "experiments.md", "nothing")
    assert gallery["study_section"](folder / "experiments.md", "tiny")["about"].startswith("What do <b>")


def test_a_page_too_large_is_not_written(gallery, tmp_path, monkeypatch):
    monkeypatch.setitem(gallery["write_page"].__globals__, "MOST_BYTES", 10)
    sections = {
        "demo": {"scores": [], "rows": []},
        "run": None,
        "board": {},
        "raster": {"text": "", "run": "", "panels": []},
    }
    study = {"name": "", "about": "", "setting": "", "head": [], "rows": [], "text": "", "zero": 0, "bars": []}
    with pytest.raises(SystemExit, match="bytes"):
        gallery["write_page"]({**sections, "study": study}, tmp_path / "page.html")
    assert not (tmp_path / "page.html").exists()
