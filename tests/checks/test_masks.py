import cv2
import numpy as np
import pytest
from tests.checks.conftest import encode, texture

from maskfold.checks.images import check_images, pixel_statistics
from maskfold.checks.masks import check_masks
from maskfold.checks.notes import Notes

SIZE = (40, 56)


def measure(competition):
    train = competition.survey("train").samples
    notes = Notes()
    return check_masks(competition, train, check_images(competition, {"train": train}, Notes()), notes), notes


def drawn():
    """Two components of 50 and 13 pixels, one of them connected over a corner, and one at each border."""
    mask = np.zeros(SIZE, np.uint8)
    mask[8:13, 20:30] = 1
    mask[30:34, 7:10] = mask[34, 10] = 1
    mask[0:2, 10:13] = 1
    mask[20:22, 0] = 1
    mask[25, 53:] = 1
    mask[36:, 44] = 1
    return mask


def test_figures_of_a_mask(make):
    empty, lines = np.zeros(SIZE, np.uint8), np.zeros(SIZE, np.uint8)
    lines[3:30:3, 4:20] = 1
    lines[36:39, 30:50] = 1
    named = {"a": drawn(), "b": empty, "c": lines}
    images = {name: texture(seed, SIZE) for seed, name in enumerate(named)}
    masks, notes = measure(make(images, {name: encode(mask) for name, mask in named.items()}))
    table = masks.table.set_index("id")
    assert table["coverage"]["a"] == pytest.approx(78 / (40 * 56))
    assert list(table["components"]) == [6, 0, 10]
    assert table["speck"]["a"] == 13
    assert table["place"]["a"] == (32, 9)
    assert np.isnan(table["speck"]["b"])
    assert table["place"]["b"] is None
    assert table["streaks"]["b"] == 0
    assert table["streaks"]["c"] == pytest.approx(9 * 16 / (9 * 16 + 60))
    assert list(table["values"]) == [2, 1, 2]
    assert sorted(masks.areas[1]) == sorted([50, 13, 6, 2, 3, 4, *[16] * 9, 60])
    assert masks.pixels[1] == 78 + 9 * 16 + 60
    assert masks.pixels.sum() == 3 * 40 * 56
    assert (masks.images[0], masks.images[1], masks.classes) == (3, 2, 1)
    assert notes.facts["empty masks"] == "1 of 3"
    assert notes.facts["components"].startswith("median 8 in a mask that is not empty, at most 10; area median 16 ")
    assert notes.warnings == notes.problems == []


def test_columns_are_streaks_too(make):
    mask = np.zeros(SIZE, np.uint8)
    mask[4:30, 3:30:3] = 1
    masks, _ = measure(make({"a": texture(1, SIZE)}, {"a": encode(mask)}))
    assert masks.table["streaks"][0] == 1


@pytest.mark.parametrize("rows", ["class", "instance"])
def test_canonical_strings_of_several_rows(make, rows):
    one, two = np.zeros(SIZE, np.uint8), np.zeros(SIZE, np.uint8)
    one[2:9, 5:20], two[20:30, 6:9] = 1, 1
    profile = {"rows": rows}
    if rows == "class":
        profile |= {"class_names": ["none", "p", "q"], "class_separator": "_", "metric": "miou"}
        masks = {"a_q": encode(two), "a_p": encode(one), "b_q": encode(two) + " ", "b_p": encode(one)}
    else:
        masks = {"a": [encode(one), encode(two)], "b": [encode(one), encode(two).replace(" ", "  ", 1)]}
    competition = make({"a": texture(1, SIZE), "b": texture(2, SIZE)}, masks, **profile)
    found, notes = measure(competition)
    assert notes.problems == []
    assert list(found.table["canonical"]) == [True, False]
    assert notes.warnings[0].startswith("1 run-length strings are valid but not canonical")
    assert found.pixels[1:3].sum() == 2 * (one.sum() + two.sum())


def test_statistics_of_all_pixels_of_images_of_several_sizes(make):
    images = {"a": texture(1, (20, 30)), "b": texture(2, (40, 50)), "c": np.full((9, 8, 3), 250, np.uint8)}
    competition = make(images, dict.fromkeys(images, ""))
    found = check_images(competition, {"train": competition.samples("train")}, Notes())
    pixels = np.concatenate([image.reshape(-1, 3) for image in images.values()]).astype(float)
    for number, (mean, std) in enumerate(pixel_statistics(found, "train").values()):
        assert mean == pytest.approx(pixels[:, number].mean())
        assert std == pytest.approx(pixels[:, number].std())


def test_each_image_is_read_once(make, monkeypatch):
    images = {name: texture(seed, SIZE) for seed, name in enumerate("abc")}
    competition = make(images, {name: encode(drawn()) for name in images})
    read = []
    whole = competition.files.read
    monkeypatch.setattr(competition.files, "read", lambda path: read.append(path) or whole(path))
    train = {split: competition.survey(split).samples for split in ("train", "test")}["train"]
    read.clear()
    found = check_images(competition, {"train": train}, Notes())
    check_masks(competition, train, found, Notes())
    assert sorted(read) == ["train/a.png", "train/b.png", "train/c.png"]
    grey = cv2.cvtColor(images["b"], cv2.COLOR_RGB2GRAY)
    assert (found.thumbnails[1] == cv2.resize(grey, (32, 32), interpolation=cv2.INTER_AREA)).all()
