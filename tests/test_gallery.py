"""The gallery's script on the tiny competition: a page that is whole, asks for nothing and escapes what it shows."""

import math
import re
import runpy
import shutil
from pathlib import Path

import numpy as np
import pytest
from tests.conftest import TINY
from tests.documents import ROOT
from tests.drawn_runs import random_run
from tests.report.html import Page

from maskfold.board import Entry
from maskfold.competitions import open_competition
from maskfold.config import load_config
from maskfold.labels import LabelSpec
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


def facts(section):
    """Name and text of a section's facts."""
    return [tuple(part.text for part in pair) for pair in zip(section.all("dt"), section.all("dd"), strict=True)]


@pytest.fixture
def gallery_page(gallery, folder, monkeypatch):
    """The page's file."""
    monkeypatch.setitem(gallery["main"].__globals__, "EXPERIMENTS", folder / "experiments.md")
    words = "--demo runs/tiny --runs runs/tiny --study tiny --tiles 3 2 --out page.html"
    gallery["main"](words.split())
    return folder / "page.html"


@pytest.mark.slow
def test_the_page_of_tiny_runs(gallery_page):
    text = gallery_page.read_text()
    assert "<i>up" not in text
    assert not re.search(r"(?:src|href)=\"(?!data:|#)|url\(", text)
    page = Page(text).root
    sections = {section.attributes["id"]: section for section in page.all("section")}
    assert list(sections) == ["demo", "run", "board", "study", "raster"]
    scores = dict(facts(sections["demo"]))
    assert scores["one fold without views"].startswith("dice 0.")
    assert scores["all folds, views, tuned decoding"].startswith("dice 1.0000")
    pictures = list(sections["demo"].all("img"))
    assert len(pictures) == 3 * 4
    assert all(img.attributes["alt"] and img.attributes["src"].startswith("data:image/webp") for img in pictures)
    assert ("Dice out of fold", "1.0000 (1.0000 to 1.0000)") in facts(sections["run"])
    assert "mean 1.000 median 1.000" in sections["run"].text
    assert cells(sections["board"])[1][:2] == ["tiny", "1.0000"]
    up = ["<i>up</i>", "0.6000", "plain", "+0.1000 (-0.0500 to +0.3000)", "undecided"]
    assert cells(sections["study"])[2] == up
    assert "144 x 96 pixels" in sections["raster"].text
    assert len(list(sections["raster"].all("img"))) == 3


def test_images_without_a_score_are_left_out(gallery):
    stats = np.array([[1, 3, 0], [math.nan] * 3, [5, 0, 0], [2, 1, 1], [7, 0, 0]])  # TP, FP, FN
    entry = Entry("a", "runs/a", load_config(None, {}, name="a"), score=0.6875, hours=0.5, device="cpu")
    entry.statistics = FoldStatistics("iou", LabelSpec("binary", ("roof",)), list("abcde"), stats)
    section = gallery["run_section"](entry)
    assert section["facts"]["images scored"] == 4
    assert [series.name for series in section["chart"].key] == ["mean 0.688", "median 0.750"]


def test_differences_are_read_as_they_are_written(gallery):
    found = gallery["paired_result"]("-0.1000 (-0.1500 to +0.0500)")
    assert found[:3] == (-0.1, -0.15, 0.05)
    found = gallery["paired_result"]("+0.0125 (no interval)")
    assert found.difference == 0.0125
    assert math.isnan(found.low)
    assert math.isnan(found.high)


def test_a_section_that_is_not_there_is_said(gallery, folder):
    with pytest.raises(SystemExit, match=r"experiments\.md has no section nothing"):
        gallery["study_section"](folder / "experiments.md", "nothing")
    assert gallery["study_section"](folder / "experiments.md", "tiny")["about"].startswith("What do <b>")
