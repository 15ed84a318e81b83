"""The report as a reader uses it: sorted, filtered, enlarged; on a desk and on a telephone."""

import io
import os
import shutil
from base64 import b64decode
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from tests.browser.conftest import assert_quiet, copy_command, look_at
from tests.conftest import TINY
from tests.report.conftest import BAD_NAME, overlapping, run, soft, street, tiles  # noqa: F401
from tests.scripts.conftest import call

from maskfold.competitions import open_competition
from maskfold.demo import make_demo
from maskfold.labels import Label
from maskfold.report import make_report, read_choice
from maskfold.report.card_pictures import make_pictures
from maskfold.report.gallery import Card
from maskfold.report.gather import gather
from maskfold.report.live import live_page
from maskfold.report.page import report_page
from maskfold.report.pixels import Seen
from maskfold.runs import Run

ROOT = Path(__file__).parents[2]
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


def page_of(run, path, count=30) -> Path:  # noqa: F811
    """The report about a run."""
    choice = read_choice([run], run.ensemble_path)
    return make_report([run], open_competition(run.config.competition), choice, path, count=count).path


@pytest.fixture(scope="module")
def drawn_page(run, tmp_path_factory):  # noqa: F811
    """A run of three folds whose maps are truth and noise; one image has HTML in its name."""
    return page_of(run, tmp_path_factory.mktemp("drawn") / "report.html")


def cards(page) -> list[dict]:
    """Data of the cards that are shown, in the page's order."""
    return page.eval_on_selector_all(".card:not([hidden])", "cards => cards.map(card => ({...card.dataset}))")


def check_page(file: Path, visit) -> None:
    """It has cards whose pictures load, and `look_at` finds nothing."""

    def check(opened):
        assert len(cards(opened.page)) > 4
        broken = "pictures => pictures.filter(p => p.complete && !p.naturalWidth).map(p => p.alt)"
        assert opened.page.eval_on_selector_all("img", broken) == []

    look_at(file, visit, check)


@pytest.mark.slow
def test_a_demo_run(demo_page, visit):
    check_page(demo_page, visit)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["run", "street", "overlapping", "soft"])
def test_runs_of_all_kinds(name, request, tmp_path, visit):
    check_page(page_of(request.getfixturevalue(name), tmp_path / "report.html", count=8), visit)


@pytest.mark.slow
def test_a_training_that_goes_on(run, tmp_path, visit):  # noqa: F811
    """The page reloads itself, and asks for nothing else, until it is told to stop."""
    picture = io.BytesIO()
    Image.new("RGB", (40, 30), (200, 90, 0)).save(picture, "JPEG")
    copy = Run(tmp_path / "copy")
    shutil.copytree(run.path, copy.path)
    for epoch in (1, 5):
        copy.fold(1).save_preview(epoch, picture.getvalue())
    file = tmp_path / "live.html"
    file.write_text(live_page([copy], 60))
    look_at(file, visit)
    file.write_text(live_page([copy], 1))
    opened = visit(file)
    with opened.page.expect_navigation(timeout=20000):
        pass
    opened.page.click("#pause")
    opened.page.eval_on_selector(".previews input", "i => { i.value = 0; i.dispatchEvent(new Event('input')); }")
    assert opened.page.locator(".previews img:not([hidden])").get_attribute("data-epoch") == "1"
    assert opened.page.text_content(".previews output") == "1"
    assert {url for url in opened.requests if not url.startswith("data:")} == {file.resolve().as_uri()}
    assert opened.complaints == []


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


def canvas(page, kind: str, place: int = 0) -> np.ndarray:
    """RGBA of what is drawn over a picture of a card."""
    card = f".card:nth-child({place + 1})"
    page.wait_for_selector(f"{card} .{kind} canvas")
    uri = page.eval_on_selector(f"{card} .{kind} canvas", "canvas => canvas.toDataURL()")
    return np.array(Image.open(io.BytesIO(b64decode(uri.partition(",")[2]))).convert("RGBA"))


def set_level(page, level: int) -> None:
    """Move the slider, and wait until the first card, in the window, is drawn."""
    page.locator(".card:not([hidden])").first.scroll_into_view_if_needed()
    page.eval_on_selector("#level", f"l => {{ l.value = {level}; l.dispatchEvent(new Event('input')); }}")
    said = f"{level / 64:.2f}"
    page.locator(".card:not([hidden]) output", has_text=said).first.wait_for(state="attached")


def test_the_slider_draws_what_another_threshold_decides(drawn_page, run, visit):  # noqa: F811
    opened = visit(drawn_page)
    first = cards(opened.page)[0]
    set_level(opened.page, 16)  # of 64
    probability = run.fold(int(first["fold"])).oof("best").read(first["id"])[0] / np.float32(255)
    assert ((canvas(opened.page, "prediction")[..., 0] > 128) == (probability >= 0.25)).all()
    truth = open_competition(run.config.competition)
    sample = truth.samples("train").by_id[first["id"]]
    label = truth.label(sample.masks, probability.shape).values > 0
    found, drawn = probability >= 0.25, canvas(opened.page, "errors")
    assert ((drawn[..., 3] > 0) == (found | label)).all()
    # A canvas multiplies colours by their opacity, which rounds.
    assert np.abs(drawn[found & ~label][:, :3].astype(int) - (213, 94, 0)).max() < 4
    assert np.abs(drawn[~found & label][:, :3].astype(int) - (86, 180, 233)).max(initial=0) < 4
    dice = 1.0 if not (found | label).any() else 2 * (found & label).sum() / (found.sum() + label.sum())
    assert opened.page.text_content(".card:first-child output") == f"at 0.25: Dice {dice:.3f} of this picture's pixels"
    opened.page.click("#reset")
    opened.page.wait_for_selector(".card:first-child canvas", state="detached")
    assert opened.page.text_content(".card:first-child output") == ""
    assert_quiet(opened, drawn_page)


def test_probabilities_lie_over_the_image(drawn_page, visit):
    opened = visit(drawn_page)
    opened.page.keyboard.press("p")
    assert opened.page.is_checked("#heat")
    ramp = opened.page.eval_on_selector(".ramp", "ramp => getComputedStyle(ramp).backgroundImage")
    assert ramp.startswith("linear-gradient(90deg, rgb(68, 1, 84), "), "as the probabilities are drawn"
    assert ramp.endswith(", rgb(253, 231, 37))")
    drawn = canvas(opened.page, "image")
    assert len(np.unique(drawn.reshape(-1, 4), axis=0)) > 5
    opened.page.click(".card:nth-child(1) .pictures")
    assert opened.page.locator("#zoom-pictures .image canvas").count() == 1
    set_level(opened.page, 41)  # the controls are in the window, too
    opened.page.wait_for_selector("#zoom-pictures .prediction canvas")
    assert "at 0.64" in opened.page.text_content("#zoom-facts")
    opened.page.keyboard.press("Escape")
    opened.page.wait_for_selector("#gallery #level")
    assert_quiet(opened, drawn_page)


@pytest.mark.parametrize(("name", "said"), [("street", "of the pixels"), ("overlapping", "Dice")])
def test_classes_have_thresholds_of_their_own(name, said, request, tmp_path, visit):
    file = page_of(request.getfixturevalue(name), tmp_path / "report.html", count=6)
    opened = visit(file)
    assert opened.page.locator("#layer").count() == (name == "overlapping")
    if name == "overlapping":
        levels = []
        for layer in range(4):
            opened.page.select_option("#layer", str(layer))
            levels.append(opened.page.input_value("#level"))
        assert levels == ["26", "32", "32", "38"]
        assert "presence: " in opened.page.text_content(".card")
    set_level(opened.page, 48)
    assert said in opened.page.text_content(".card:first-child output")
    assert canvas(opened.page, "errors")[..., 3].any()
    assert_quiet(opened, file)


def test_the_keyboard_moves_through_the_gallery(drawn_page, visit):
    opened = visit(drawn_page)
    page, ids = opened.page, [card["id"] for card in cards(opened.page)]
    page.locator(".card .pictures").first.focus()
    columns = page.evaluate(
        "[...document.querySelectorAll('.card')].filter((c, _, all) => c.offsetTop === all[0].offsetTop).length"
    )
    assert columns > 1
    at = "document.activeElement.closest('.card').dataset.id"
    for key, place in (
        ("ArrowRight", 1),
        ("ArrowDown", 1 + columns),
        ("ArrowLeft", columns),
        ("ArrowUp", 0),
        ("End", -1),
    ):
        page.keyboard.press(key)
        assert page.evaluate(at) == ids[place], key
    page.keyboard.press("Enter")
    assert page.text_content("#zoom-title") == ids[-1]
    page.keyboard.press("Escape")
    assert page.evaluate(at) == ids[-1]


def test_charts_are_read_by_pointer_and_keyboard(drawn_page, visit):
    opened = visit(drawn_page)
    plot = opened.page.locator("#learning .plot").nth(1)
    plot.scroll_into_view_if_needed()
    box = plot.locator("svg").first.bounding_box()
    opened.page.mouse.move(box["x"] + 0.99 * box["width"], box["y"] + 20)
    key = opened.page.locator("#learning figure").nth(1).locator(".key > span")
    said = {entry.text_content().rsplit(" ", 1)[0].strip(): entry.locator("b").text_content() for entry in key.all()}
    assert said["fold 1 validation"] == "0.81"
    assert said["fold 1 training"] == "0.86"
    opened.page.mouse.move(5, 5)
    assert key.first.locator("b").text_content() == ""
    plot.focus()
    for _ in range(3):
        opened.page.keyboard.press("ArrowRight")
    assert opened.page.locator("#learning figure").nth(1).locator("output").text_content() == "epoch 3"
    assert_quiet(opened, drawn_page)


def test_light_and_dark_and_commands_to_copy(drawn_page, visit):
    opened = visit(drawn_page, scheme="dark")
    paper = "getComputedStyle(document.body).backgroundColor"
    dark = opened.page.evaluate(paper)
    assert opened.page.text_content("#theme") == "light"
    opened.page.click("#theme")
    light = opened.page.evaluate(paper)
    assert (dark, light) == ("rgb(16, 22, 29)", "rgb(245, 247, 250)")
    opened.page.reload()
    assert opened.page.evaluate(paper) == light, "remembered"
    copy_command(opened.page, "#next")
    opened.page.fill("#search", "")
    opened.page.focus("#search")
    opened.page.keyboard.press("Control+V")
    assert opened.page.input_value("#search") == opened.page.locator("#next code").first.text_content()


@pytest.mark.slow
def test_of_five_hundred_images_the_first_are_shown_and_then_more(run, tmp_path, visit):  # noqa: F811
    """How long it takes is benchmarks/bench_pages.py's matter."""
    competition, rng = open_competition(run.config.competition), np.random.default_rng(3)
    findings = gather([run], competition, read_choice([run], run.ensemble_path))
    image = rng.integers(0, 256, (256, 256, 3), np.uint8)
    truth = (cv2.GaussianBlur(rng.normal(size=(256, 256)), (0, 0), 6) > 0.03).astype(np.uint8)
    seen = Seen(rng.random((1, 256, 256), np.float32), Label.whole(truth), np.roll(truth, 9, 1), None, None)
    pictures = make_pictures(image, seen, labels=competition.labels, count=500)
    rows = findings.table.to_dict("records")
    facts = [{**rows[number % len(rows)], "id": f"{number:03d}.png", "score": number / 500} for number in range(500)]
    file = tmp_path / "report.html"
    file.write_text(report_page(findings, [Card(("worst",), each, pictures, []) for each in facts]))
    assert 15e6 < file.stat().st_size < 25e6
    opened = visit(file)
    opened.page.select_option("#order", "-1")
    assert cards(opened.page)[0]["id"] == "499.png"
    assert len(cards(opened.page)) == 24
    # By keyboard: cards take their height as they come into view, so that a slow page moves below the mouse.
    opened.page.press("#more", "Enter")
    assert len(cards(opened.page)) == 72
    opened.page.press("#all", "Enter")
    assert len(cards(opened.page)) == 500
    assert opened.page.is_hidden("#more")
    assert_quiet(opened, file)
