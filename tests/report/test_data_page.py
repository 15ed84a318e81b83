"""The page about a competition's files: it stands alone, escapes names, and shows what the checks found."""

import base64
import re

import cv2
import numpy as np
import pytest
from tests.checks.conftest import encode, texture, write_competition, write_label_maps
from tests.checks.test_tiles import tiles_in
from tests.report.html import Page, rows

from maskfold.checks import check_data
from maskfold.config import AnnotatorsConfig, FoldsConfig, GroupConfig
from maskfold.errors import ReportError
from maskfold.report.data_page import write_data_page
from maskfold.report.data_pictures import RING, shared

SIZE = (48, 64)
BAD_NAME = "a<b>&'c"
KFOLD = FoldsConfig(kind="kfold", count=4)


def scene(seed, size=SIZE):
    """An image and the mask of its bright rectangle, which the border does not touch."""
    rng = np.random.default_rng(seed)
    mask = np.zeros(size, np.uint8)
    top, left = rng.integers(2, 14), rng.integers(2, 20)
    mask[top : top + rng.integers(18, 28), left : left + rng.integers(20, 36)] = 1
    image = texture(seed, size).astype(float) * 0.5 + 100 * mask[..., None]
    return image.clip(0, 255).astype(np.uint8), mask


def write(competition, path, config=KFOLD, annotators=None):
    report = check_data(competition, config, annotators)
    write_data_page(report, competition, path)
    return report, Page(path.read_text()).root


@pytest.fixture(scope="module")
def busy(tmp_path_factory):
    """60 images; 3 = 20 (other masks), 5 = t1, 8 ~ 9 mirrored; a speck; a name that must be escaped."""
    folder = tmp_path_factory.mktemp("busy")
    scenes = {f"i{seed:02d}": scene(seed) for seed in range(59)} | {BAD_NAME: scene(70)}
    images = {name: image for name, (image, _) in scenes.items()}
    masks = {name: mask for name, (_, mask) in scenes.items()}
    images["i20"] = images["i03"]
    images["i09"] = np.ascontiguousarray(images["i08"][:, ::-1])
    masks["i09"] = masks["i08"][:, ::-1]
    masks["i33"][46, 61] = 1
    masks[BAD_NAME][44, 60] = 1
    test = {f"t{seed}": texture(900 + seed, SIZE) for seed in range(44)} | {"t1": images["i05"]}
    competition = write_competition(
        folder / "competition", images, {name: encode(mask) for name, mask in masks.items()}, test
    )
    return *write(competition, folder / "data.html"), folder / "data.html"


def section(page, name):
    return page.one("section", id=name)


def cards(page, name):
    return list(section(page, name).all("article"))


def test_the_page_stands_alone(busy):
    text = busy[2].read_text()
    assert not re.findall(r"""(?:src|href)=["'](?!data:|#)""", text)
    assert "://" not in text
    assert "default-src 'none'" in text
    assert len(text) < 10_000_000


def test_names_are_escaped(busy):
    assert "<b>&'c" not in busy[2].read_text()
    assert any(BAD_NAME in card.one("h3").text for card in cards(busy[1], "suspicious"))


def test_every_sentence_stands_on_the_page(busy):
    report, page, _ = busy
    assert report.warnings
    found = section(page, "found")
    assert [item.text for item in found.all("li")] == [f"Warning. {' '.join(text.split())}" for text in report.warnings]
    facts = zip(found.all("dt"), found.all("dd"), strict=True)
    assert {name.text: text.text for name, text in facts} == report.facts


def test_tiles_and_tables(busy):
    report, page, _ = busy
    tiles = [tile.one("strong").text for tile in page.all("div") if "tile" in tile.attributes.get("class", "").split()]
    assert tiles == ["0", str(len(report.warnings)), "60", "44", "0"]
    sizes, channels = (rows(table) for table in section(page, "images").all("table"))
    assert sizes == [["48 x 64", "RGB", "60", "44"]]
    assert [row[:2] for row in channels] == [[part, c] for part in ("train", "test") for c in ("red", "green", "blue")]
    (classes,) = (rows(table) for table in section(page, "masks").all("table"))
    assert [row[0] for row in classes] == ["background", "foreground"]
    assert classes[1][2:4] == ["60", "62"]


def test_suspicions_with_a_ring_around_the_speck(busy):
    found = {card.one("h3").text: card for card in cards(busy[1], "suspicious")}
    assert set(found) == {"i20", "i33", BAD_NAME}
    assert "same pixels as i03" in found["i20"].one("p").text
    mask = list(found["i33"].all("img"))[1]
    data = base64.b64decode(mask.attributes["src"].split(",")[1])
    picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
    ring = np.argwhere((picture == RING).all(-1))
    assert len(ring) > 10
    assert np.abs(np.hypot(*(ring - (46, 61)).T) - 12).max() < 3


def test_pairs_side_by_side(busy):
    found = cards(busy[1], "copies")
    assert [card.one("h3").text for card in found] == ["i03 and i20", "i05 and t1", "i08 and i09"]
    assert [len(list(card.all("img"))) for card in found] == [4, 3, 4]
    parts = [card.one("p").text.split(";")[0] for card in found]
    assert parts == ["train and train", "train and test", "train and train"]
    assert found[2].one("p").text.endswith("mirrored left to right")


def test_folds_dialect_and_shift(busy):
    report, page, _ = busy
    balance, leaks = (rows(table) for table in section(page, "folds").all("table"))
    assert [row[:3] for row in balance] == [[str(fold), "45", "15"] for fold in range(4)]
    assert sum(int(row[6]) for row in balance) == len(leaks) == len(report.folds.leaks)
    readings = rows(section(page, "dialect").one("table"))
    assert readings[0][0] == "F, 1-based, start-length"
    assert len(readings) == 10
    (card,) = cards(page, "dialect")
    assert [panel.text for panel in card.all("small")] == [
        "image", "F, 1-based, start-length", "C, 1-based, start-length",
    ]  # fmt: skip
    assert f"AUC of {report.shift.auc:.2f}" in section(page, "shift").text
    assert len(rows(section(page, "shift").one("table"))) == 6


def test_the_shift_in_pictures(busy):
    """Groups of twelve, ordered by how much an image looks like those of the other split."""
    report, page, _ = busy
    shown = section(page, "shift")
    titles = [each.text for each in shown.all("h3") if each.text.startswith(("Test", "Training"))]
    groups = [[card.one("h3").text for card in group.all("article")] for group in shown.all("div", class_="cards")]
    assert [len(group) for group in groups] == [12] * 4
    assert titles[0] == "Test images that look least like training images"
    table = report.images.table
    odds = {(table["split"].iloc[row], table["id"].iloc[row]): value
            for row, value in zip(report.shift.rows, report.shift.odds, strict=True)}  # fmt: skip
    for group, split, falling in zip(
        groups, ("test", "train", "test", "train"), (True, False, False, True), strict=True
    ):
        own = sorted((value for (where, _), value in odds.items() if where == split), reverse=falling)
        assert [odds[split, name] for name in group] == pytest.approx(own[:12])
    assert shown.one("figure").one("figcaption").text == "How much like test images they look"


def test_examples_of_both_splits(busy):
    _, page, _ = busy
    found = cards(page, "examples")
    splits = [card.attributes["data-split"] for card in found]
    assert splits.count("test") == 44
    assert 24 <= splits.count("train") <= 60
    assert [len(list(card.all("img"))) for card in found] == [2] * splits.count("train") + [1] * 44
    (choice,) = section(page, "examples").all("select")
    assert [option.text for option in choice.all("option")] == ["all", "train", "test"]


def test_examples_of_each_class_and_each_group(tmp_path):
    """A class that one image holds, and groups of many and of few images."""
    labels = [np.full((48, 64), number % 2, np.uint8) for number in range(90)]
    labels[71][:, :5] = 2
    competition = write_label_maps(tmp_path, labels, SIZE)
    table = "id,scene\n" + "".join(f"images/{n:02d}.png,{'big' if n < 85 else f's{n}'}\n" for n in range(90))
    (tmp_path / "scenes.csv").write_text(table)
    group = GroupConfig(file="scenes.csv", column="scene")
    config = FoldsConfig(kind="grouped", count=2, group=group)
    report, page = write(competition, tmp_path / "data.html", config)
    assert report.folds.groups["images/86.png"] == "s86"
    found = {card.one("h3").text: card for card in cards(page, "examples")}
    assert found["images/71.png"].attributes["data-class"].split("\n") == ["road", "car"]
    assert {f"images/{n}.png" for n in range(85, 90)} <= set(found)
    assert found["images/86.png"].attributes["data-group"] == "s86"
    options = [[option.text for option in choice.all("option")] for choice in section(page, "examples").all("select")]
    assert options[0] == ["all", "sky", "road", "car"]
    assert set(options[1]) == {"all", "big", "s85", "s86", "s87", "s88", "s89"}
    assert len(found) < 60


def test_tiles_that_overlap(tmp_path):
    competition = tiles_in(tmp_path)
    config = FoldsConfig(kind="grouped", count=2, group=GroupConfig(file="tiles.csv", column="block"))
    _, page = write(competition, tmp_path / "data.html", config)
    assert "2 validation tiles share pixels" in section(page, "tiles").text
    found = cards(page, "tiles")
    assert sorted(card.one("h3").text for card in found) == ["s_0_64 and s_0_80", "s_0_80 and s_0_64"]
    for panel in found[0].all("span"):
        name = panel.one("small").text
        data = base64.b64decode(panel.one("img").attributes["src"].split(",")[1])
        picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)[..., ::-1].astype(int)
        ring = np.abs(picture - RING).sum(-1) < 150
        half = slice(14, 32) if name == "s_0_64" else slice(0, 18)  # what both have, and the frame's width
        assert ring[:, half].sum() > 60
        assert ring.sum() == pytest.approx(ring[:, half].sum(), abs=3)


def test_what_tiles_share():
    first, second = [10, 100, 20, 40], [15, 130, 30, 40]
    assert shared(first, second, first) == pytest.approx((0.25, 0.75, 1.0, 1.0))
    assert shared(first, second, second) == pytest.approx((0.0, 0.0, 0.5, 0.25))


def test_pictures_have_limits(tmp_path, monkeypatch):
    monkeypatch.setattr("maskfold.report.data_pictures.MOST_PAIRS", 20)
    monkeypatch.setattr("maskfold.report.data_pictures.MOST_SUSPICIOUS", 25)
    monkeypatch.setattr("maskfold.report.data_pictures.PHOTOGRAPH_BYTES", 80_000)
    images = {f"i{number:02d}": texture(1, SIZE) for number in range(70)}
    masks = {name: encode(scene(number)[1]) for number, name in enumerate(images)}
    report, page = write(write_competition(tmp_path / "c", images, masks), tmp_path / "data.html")
    assert len(report.duplicates.pairs) == 69
    assert len(report.suspicious) > 25
    assert len(cards(page, "copies")) == 20
    assert len(cards(page, "suspicious")) == 25
    assert "the first 20 shown" in section(page, "copies").text
    photographs = [panel.one("img").attributes["src"] for panel in page.all("span", class_="panel image")]
    assert len(photographs) > 80
    assert all(len(src) < 2000 for src in photographs)


def test_a_page_of_problems(tmp_path):
    """Unreadable images, masks and folds: the page is there, with what could be found out."""
    images = {f"i{number}": texture(number, SIZE) for number in range(6)}
    masks = {name: encode(scene(1)[1]) for name in images} | {"i2": "5000 1", "i9": ""}
    competition = write_competition(tmp_path / "c", images, masks)
    (tmp_path / "c/train/i4.png").write_bytes(b"no image")
    report, page = write(competition, tmp_path / "data.html", FoldsConfig(kind="kfold", count=9))
    sentences = [item.text for item in section(page, "found").all("li")]
    assert [text for text in sentences if text.startswith("Problem.")] == [
        f"Problem. {problem}" for problem in report.problems
    ]
    assert len(report.problems) == 5
    assert not list(page.all("section", id="folds"))


def test_a_page_of_nothing(tmp_path):
    competition = write_competition(tmp_path / "c", {}, {"gone": ""})
    report, page = write(competition, tmp_path / "data.html")
    assert not report.ok
    assert not list(page.all("article"))
    assert not list(page.all("section", id="masks"))


def test_several_classes(tmp_path):
    label = np.repeat([0, 2, 255], [10, 30, 24]).astype(np.uint8) + np.zeros((48, 1), np.uint8)
    _, page = write(write_label_maps(tmp_path, [label] * 5, SIZE), tmp_path / "data.html")
    (classes,) = (rows(table) for table in section(page, "masks").all("table"))
    assert classes == [
        ["sky", "15.6 %", "5", "5", "480 px"],
        ["road", "0 %", "0", "–", "–"],
        ["car", "46.9 %", "5", "5", "1440 px"],
        ["not scored", "37.5 %", "5", "–", "–"],
    ]
    assert cards(page, "examples")[0].one("p").text == "covers 46.9%: sky, car"


def test_the_name_must_be_a_page(busy, tmp_path):
    with pytest.raises(ReportError, match=r"out\.txt: expected one ending in \.html"):
        write_data_page(busy[0], None, tmp_path / "out.txt")


def test_annotators_have_a_section(tmp_path):
    images = {name: scene(number) for number, name in enumerate(("i0", BAD_NAME))}
    masks = {name: encode(mask) for name, (_, mask) in images.items()}
    competition = write_competition(tmp_path / "c", {name: image for name, (image, _) in images.items()}, masks)
    for name, moved in (("<x>.csv", 0), ("y.csv", 5)):
        drawn = {id_: encode(np.roll(mask, moved * (id_ == "i0"), 1)) for id_, (_, mask) in images.items()}
        (competition.root / name).write_text("id,rle\n" + "".join(f"{id_},{rle}\n" for id_, rle in drawn.items()))
    config, split = AnnotatorsConfig(masks=("<x>.csv", "y.csv")), FoldsConfig(kind="kfold", count=2)
    report, page = write(competition, tmp_path / "data.html", split, config)
    people, pairs, contested = (rows(table) for table in section(page, "annotators").all("table"))
    lowest = report.annotators.images["dice"][0]
    assert [row[0] for row in people] == ["<x>.csv", "y.csv"]
    assert pairs[0][:3] == ["<x>.csv", "y.csv", "2"]
    assert float(pairs[0][3]) == pytest.approx((1 + lowest) / 2, abs=1e-4)
    assert [row[0] for row in contested] == ["i0", BAD_NAME]
    assert float(contested[0][2]) == pytest.approx(lowest, abs=1e-4)
    assert 0.3 < lowest < 0.95
    _, page = write(competition, tmp_path / "none.html", split)
    assert "annotators" not in {each.attributes.get("id") for each in page.all("section")}
