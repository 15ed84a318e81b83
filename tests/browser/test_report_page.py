"""The report as a reader uses it: sorted, filtered, enlarged; on a desk and on a telephone."""

import os
from pathlib import Path

import pytest
from tests.browser.conftest import assert_fits, assert_quiet
from tests.conftest import TINY
from tests.report.conftest import BAD_NAME, run, tiles  # noqa: F401
from tests.scripts.conftest import call

from maskfold.competitions import open_competition
from maskfold.demo import make_demo
from maskfold.report import make_report, read_choice

ROOT = Path(__file__).parents[2]
WIDTHS = (1400, 400)
QUICK = {**TINY, "train.epochs": 1, "train.epoch_images": 16, "folds.count": 5}


def train_and_report(folder, monkeypatch, capsys, config: str, **changes) -> Path:
    """A run of a shipped config made small, one fold, and its report, by the scripts."""
    monkeypatch.chdir(folder)
    settings = {**QUICK, **changes}.items()
    options = [word for key, value in settings for word in (f"--{key}", str(value).replace("'", ""))]
    for words in (["train_fold", "--config", ROOT / config, "--name", "quick", "--fold", "0", *options], ["report"]):
        done = call(capsys, *words)
        assert done.code == 0, done.err
    return folder / "runs/quick/report.html"


@pytest.fixture
def demo_page(tmp_path, monkeypatch, capsys):
    make_demo(tmp_path / "data/demo", train_tiles=40, test_tiles=6, tile=96)
    return train_and_report(tmp_path, monkeypatch, capsys, "configs/demo.yaml")


@pytest.fixture
def real_page(tmp_path, monkeypatch, capsys):
    if "MASKFOLD_REAL_DATA" not in os.environ:
        pytest.skip("MASKFOLD_REAL_DATA is not set: it names the folder of the real data sets")
    (tmp_path / "data").mkdir()
    (tmp_path / "data/tiles").symlink_to(Path(os.environ["MASKFOLD_REAL_DATA"]) / "satellite_buildings")
    return train_and_report(tmp_path, monkeypatch, capsys, "configs/satellite_mobilenet.yaml", **{"data.scale": 0.25})


@pytest.fixture
def drawn_page(run, tiles, tmp_path):  # noqa: F811
    """A run of three folds whose maps are truth and noise; one image has HTML in its name."""
    choice = read_choice([run], run.ensemble_path)
    competition = open_competition(run.config.competition)
    return make_report([run], competition, choice, tmp_path / "report.html", count=30).path


def cards(page) -> list[dict]:
    """Data of the cards that are shown, in the page's order."""
    return page.eval_on_selector_all(".card:not([hidden])", "cards => cards.map(card => ({...card.dataset}))")


def check_page(file: Path, visit) -> None:
    """It is quiet, has cards with pictures that load, and fits both widths."""
    for width in WIDTHS:
        opened = visit(file, width)
        assert len(cards(opened.page)) > 5
        opened.page.evaluate("scrollTo(0, document.body.scrollHeight)")
        broken = "pictures => pictures.filter(p => p.complete && !p.naturalWidth).map(p => p.alt)"
        assert opened.page.eval_on_selector_all("img", broken) == []
        assert_fits(opened, width)
        assert_quiet(opened, file)


@pytest.mark.slow
def test_a_demo_run(demo_page, visit):
    check_page(demo_page, visit)


@pytest.mark.slow
@pytest.mark.real_data
def test_a_real_run(real_page, visit):
    check_page(real_page, visit)


def test_cards_are_sorted(drawn_page, visit):
    opened = visit(drawn_page)
    for name in ("score", "uncertainty", "coverage", "suspect", "id"):
        for order in ("1", "-1"):
            opened.page.select_option("#sort", name)
            opened.page.select_option("#order", order)
            values = [card[name] if name == "id" else float(card[name]) for card in cards(opened.page)]
            assert values == sorted(values, reverse=order == "-1")
            assert len(set(values)) > 1 or name == "suspect"
    assert_quiet(opened, drawn_page)


def test_cards_are_filtered(drawn_page, visit):
    opened = visit(drawn_page)
    everything = cards(opened.page)
    opened.page.select_option("#fold", "1")
    opened.page.select_option("#reason", "worst")
    expected = [card["id"] for card in everything if card["fold"] == "1" and "worst" in card["reasons"].split(",")]
    assert 0 < len(expected) < len(everything)
    assert [card["id"] for card in cards(opened.page)] == expected
    assert opened.page.text_content("#shown") == f"{len(expected)} of {len(everything)} images"
    opened.page.select_option("#fold", "")
    opened.page.select_option("#reason", "")
    opened.page.fill("#search", "t01")
    assert {card["id"] for card in cards(opened.page)} == {c["id"] for c in everything if "T01" in c["id"]}
    assert_quiet(opened, drawn_page)


def test_a_click_enlarges_and_arrows_turn_pages(drawn_page, visit):
    opened = visit(drawn_page)
    page, ids = opened.page, [card["id"] for card in cards(opened.page)]
    page.click(".card:nth-child(2) .pictures")
    assert page.eval_on_selector("#zoom", "dialog => dialog.open")
    assert page.text_content("#zoom-title") == ids[1]
    assert page.locator("#zoom-pictures .panel").count() == 4
    small = page.locator(".card:nth-child(2) .panel").first.bounding_box()["width"]
    assert page.locator("#zoom-pictures .panel").first.bounding_box()["width"] > 1.5 * small
    page.keyboard.press("ArrowRight")
    assert page.text_content("#zoom-title") == ids[2]
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    assert page.text_content("#zoom-title") == ids[-1], "before the first comes the last"
    page.keyboard.press("Escape")
    assert not page.eval_on_selector("#zoom", "dialog => dialog.open")
    assert_quiet(opened, drawn_page)


def test_a_name_with_html_is_text(drawn_page, visit):
    opened = visit(drawn_page)
    opened.page.fill("#search", "<i>")
    assert [card["id"] for card in cards(opened.page)] == [BAD_NAME]
    assert opened.page.text_content(".card:not([hidden]) h3") == BAD_NAME
    assert opened.page.text_content("h1").endswith("tiny<1>")
    assert opened.page.locator("#cards i").count() == 0
    opened.page.click(".card:not([hidden]) .pictures")
    assert opened.page.text_content("#zoom-title") == BAD_NAME
    assert_quiet(opened, drawn_page)
