"""The page about trainings that go on: what it shows of files as they are, and when it stops reloading itself."""

import shutil

import pytest
from tests.report.html import Page, tables
from tests.scripts.conftest import call

from maskfold.errors import ReportError
from maskfold.report.live import follow, live_page
from maskfold.runs import Run


@pytest.fixture
def going_on(run, tmp_path):
    """A copy of the run whose fold 2 is not begun, and whose fold 1 is not finished and has two pictures."""
    copy = Run(tmp_path / "copy")
    shutil.copytree(run.path, copy.path)
    shutil.rmtree(copy.fold(2).path)
    copy.fold(1).reopen()
    for epoch in (3, 12):
        copy.fold(1).save_preview(epoch, b"picture %d" % epoch)
    return copy


def refreshes(page):
    return [each.attributes["data-every"] for each in page.all("button", id="pause")]


def test_what_is_there_so_far(going_on):
    page = Page(live_page([going_on], 20)).root
    assert refreshes(page) == ["20"]
    ((first, second),) = tables(page)
    assert first == ["0", "6 of 6", "0.2000", "0.8000", "6", "0.8000", "finished"]
    assert second[-1] == "not finished"
    charts = [each.one("figcaption").text for each in page.all("figure", class_="chart")]
    assert charts[:2] == ["Loss", "Dice, no views"]
    pictures = list(page.one("figure", class_="previews").all("img"))
    assert [picture.attributes["data-epoch"] for picture in pictures] == ["3", "12"]
    assert ["hidden" in picture.attributes for picture in pictures] == [True, False]
    assert pictures[0].attributes["src"].startswith("data:image/jpeg;base64,")


def test_it_is_written_again_until_all_folds_are_finished(going_on, run, tmp_path):
    path, seen = tmp_path / "live.html", []

    def sleep(seconds):
        seen.append((seconds, refreshes(Page(path.read_text()).root)))
        if len(seen) == 2:
            shutil.rmtree(going_on.path)
            shutil.copytree(run.path, going_on.path)

    follow([going_on], path, 7, sleep)
    assert seen == [(7, ["7"]), (7, ["7"])]
    last = Page(path.read_text()).root
    assert refreshes(last) == []
    assert "All folds are finished" in last.one("header").text
    with pytest.raises(ReportError, match=r"ending in \.html"):
        follow([run], tmp_path / "live.txt", 7, sleep)


def test_nothing_has_begun(run, tmp_path):
    fresh = Run.create(run.config, tmp_path)
    assert "No fold has begun yet" in live_page([fresh], 5)
    assert not fresh.folds_path.exists()


def test_the_command(run, tmp_path, capsys):
    """Of a run whose folds are all finished it writes the page once; it says where, and what is next."""
    page = tmp_path / "live.html"
    done = call(capsys, "report", "--runs", run.path, "--live", "--out", page)
    assert done.code == 0, done.err
    assert "All folds are finished" in page.read_text()
    assert done.out.splitlines()[-1].startswith("Next: ")
    assert "report.py --runs" in done.out.splitlines()[-1]
    done = call(capsys, "report", "--runs", run.path, "--live", "0.5", "--out", page)
    assert done.code == 1
    assert "--live is 0.5: give the seconds between two pages, 1 or more" in done.err
