"""The board of many runs as a reader uses it: opened at once, sorted by mouse and keyboard, searched."""

import json
import re
import shutil

import numpy as np
import pytest
from tests.board.conftest import draw_fold, drawn_run
from tests.browser.conftest import assert_quiet, look_at

from maskfold.board import make_board
from maskfold.report.board_page import write_board_page
from maskfold.runs import Run
from maskfold.scoring import note_leaderboard, note_submission

RUNS = 200
BAD_NAME = "<i>run&'0"


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """The page of 200 runs with submissions."""
    folder = tmp_path_factory.mktemp("board")
    root = folder / "runs"
    names = [BAD_NAME, *(f"run{number:03d}" for number in range(1, RUNS))]
    first = drawn_run(folder, "first", optim__lr=0.001, train__epochs=3)
    text = first.config_path.read_text()
    for number, name in enumerate(names):
        shutil.copytree(first.path, root / name)
        run = Run(root / name)
        changed = text.replace("epochs: 3", f"epochs: {number + 3}").replace(
            "lr: 0.001", f"lr: {0.001 * (number % 20 + 1)}"
        )
        run.config_path.write_text(changed.replace("name: first", f"name: {json.dumps(name)}"))
        draw_fold(run, number % 3, np.random.default_rng(number), 0.6 + 0.001 * number)
        if not number % 9:
            shutil.rmtree(run.fold((number + 1) % 3).path)
    log = folder / "log.csv"
    for number in range(1, 12):
        note_submission(log, file=f"<b>{number}.csv", runs=f"run{number:03d}", oof_score=f"{0.7 + number * 0.003:.6f}")
        note_leaderboard(log, round(0.69 + number * 0.0031 - 0.01 * (number == 5), 4))
    path = folder / "board.html"
    runs = [Run(config.parent) for config in sorted(root.glob("*/config.yaml"))]
    write_board_page(make_board(runs, log), path)
    return path


def cells(page, place):
    """data-value of a column, in the order shown."""
    return page.eval_on_selector_all(
        f"#board tbody tr:not([hidden]) td:nth-child({place + 1})", "cells => cells.map(cell => cell.dataset.value)"
    )


def heading(page, title):
    titles = page.eval_on_selector_all("#board th", "heads => heads.map(head => head.textContent.trim())")
    return titles.index(title)


def test_two_hundred_runs_are_rows(page, visit):
    """How long that takes is benchmarks/bench_pages.py's matter."""
    opened = visit(page)
    assert len(cells(opened.page, 0)) == RUNS
    assert_quiet(opened, page)


def test_a_click_sorts_and_another_one_turns_the_order(page, visit):
    opened = visit(page)
    for title, words in (("run", True), ("out of fold", False), ("difference", False), ("leaderboard", False)):
        place = heading(opened.page, title)
        button = opened.page.locator("#board th button").nth(place)
        head = opened.page.locator("#board th").nth(place)
        if head.get_attribute("aria-sort") == "none":
            button.click()
        for ascending in (words, not words):
            assert head.get_attribute("aria-sort") == ("ascending" if ascending else "descending")
            values = cells(opened.page, place)
            known = [value for value in values if value != ""]
            assert values[: len(known)] == known, "what is not known comes last"
            numbers = [value.lower() if words else float(value) for value in known]
            if not words:
                assert numbers == sorted(numbers, reverse=not ascending)
            else:
                assert (known[0] == BAD_NAME) == ascending
            assert len(set(known)) > 5
            button.click()
    assert_quiet(opened, page)


def test_the_keyboard_sorts_too(page, visit):
    opened = visit(page)
    opened.page.locator("#board th button").first.focus()
    opened.page.keyboard.press("Tab")
    opened.page.keyboard.press("Enter")
    values = [float(value) for value in cells(opened.page, 1)]
    assert values == sorted(values), "sorted by the score already, so Enter turns the order"


def test_search_and_text_of_names(page, visit):
    opened = visit(page)
    opened.page.fill("#search", "<i>")
    assert cells(opened.page, 0) == [BAD_NAME]
    assert opened.page.text_content("#board tbody tr:not([hidden]) td") == BAD_NAME
    assert opened.page.locator("main i").count() == 0
    assert opened.page.locator("main p b").count() == 1, "of the sentence about the gap, not of a file's name"
    assert opened.page.text_content("#shown") == "1 of 200 runs"
    assert_quiet(opened, page)


def test_the_scatter_shows_every_submission(page, visit):
    opened = visit(page)
    figure = opened.page.locator("#gap figure")
    assert figure.locator("path.points").get_attribute("d").count("M") == 11
    lines = [
        [float(n) for n in re.findall(r"[\d.-]+", line.get_attribute("d"))]
        for line in figure.locator("path.line").all()
    ]
    # In an SVG y grows downwards; all have the same slope.
    mean, *sides = (y1 - (y2 - y1) / (x2 - x1) * x1 for x1, y1, x2, y2 in lines)
    below, above = max(sides), min(sides)
    assert above < mean < below
    assert mean - above == pytest.approx(below - mean, rel=0.05)
    assert "A difference of 0.0" in opened.page.text_content("#gap")
    figure.locator(".plot").focus()
    said = set()
    for _ in range(11):
        opened.page.keyboard.press("ArrowRight")
        said.add(figure.locator("output").text_content())
    assert any(text.startswith("<b>5.csv: local 0.715") for text in said)
    assert len(said) == 11


@pytest.mark.slow
def test_both_widths_light_and_dark(page, visit):
    # What is hidden costs axe-core no time.
    look_at(page, visit, lambda opened: opened.page.fill("#search", "run00"))
