import numpy as np
import pytest
from tests.checks.conftest import encode, texture, write_label_maps

from maskfold.checks import check_data
from maskfold.checks.suspicious import foreground_iou
from maskfold.config import FoldsConfig
from maskfold.labels import LabelSpec

SIZE = (60, 80)


def usual(seed):
    """Two or three rectangles inside the image."""
    rng = np.random.default_rng(seed)
    mask = np.zeros(SIZE, np.uint8)
    for left in (4, 30, 56)[: 2 + seed % 2]:
        top = rng.integers(2, 20)
        mask[top : top + rng.integers(20, 30), left : left + rng.integers(14, 20)] = 1
    return mask


def check(make, masks, images=None):
    names = [f"i{number:02d}" for number in range(len(masks))]
    images = {name: texture(number, SIZE) for number, name in enumerate(names)} | (images or {})
    texts = {name: encode(mask) for name, mask in zip(names, masks, strict=True)}
    return check_data(make(images, texts), FoldsConfig(kind="holdout"))


def changed(change, count=40, at=(7,)):
    masks = [usual(seed) for seed in range(count)]
    for place in at:
        masks[place] = change(masks[place].copy())
    return masks


def whole(mask):
    mask[:] = 1
    mask[0, 0] = 0
    return mask


def speck(mask):
    mask[56:58, 41] = 1
    return mask


def sliver_at_the_border(mask):
    mask[58:, 41] = 1
    return mask


def confetti(mask):
    mask[::3, ::4] = 1
    return mask


def stripes(mask):
    mask[:] = 0
    mask[::2] = 1
    return mask


def thin_rim(mask):
    mask[:] = 0
    mask[-1, 10:70] = 1
    return mask


def one_line(mask):
    mask[:] = 0
    mask[30, 10:50] = 1
    return mask


def test_sound_masks_are_not_suspicious(make):
    report = check(make, changed(sliver_at_the_border, at=(3, 9)))
    assert report.suspicious == []
    assert "usual here" not in report.facts
    assert report.warnings == ["there are no test images"] or not any("look" in text for text in report.warnings)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (whole, "covers 100.0% of the image"),
        (speck, "has a component of 2 pixels, where half of all have"),
        (confetti, "has 276 components, half of the others at most 2"),
        (stripes, "consists of lines one pixel thin (97% of it)"),
    ],
)
def test_each_rule(make, change, reason):
    report = check(make, changed(change))
    assert any(reason in item.reason for item in report.suspicious), report.suspicious
    assert {item.id for item in report.suspicious} == {"i07"}
    assert {item.path for item in report.suspicious} == {"train/i07.png"}
    assert any("1 mask is worth a look: i07" in text for text in report.warnings)


@pytest.mark.parametrize("change", [sliver_at_the_border, thin_rim, one_line])
def test_what_is_no_mistake(make, change):
    assert check(make, changed(change)).suspicious == []


def test_the_place_of_a_speck(make):
    (item,) = check(make, changed(speck)).suspicious
    assert item.place == (57, 41)


def test_what_many_masks_have_is_this_competitions_way(make):
    report = check(make, changed(whole, at=range(8)))
    assert report.suspicious == []
    assert report.facts["usual here"].startswith("8 masks cover the whole image")


def test_a_mask_on_a_single_colour(make):
    flat = np.full((*SIZE, 3), 40, np.uint8)
    report = check(make, [usual(seed) for seed in range(12)], {"i05": flat})
    (item,) = report.suspicious
    assert (item.id, item.reason) == ("i05", "marks part of an image of a single colour")


def test_copies_whose_masks_differ(make):
    masks = [usual(seed) for seed in range(12)]
    masks[9] = masks[2].copy()
    masks[10] = np.roll(masks[4], 9, axis=1)
    images = {"i09": texture(2, SIZE), "i10": texture(4, SIZE)}
    (item,) = check(make, masks, images).suspicious
    assert item.id == "i10"
    overlap = (masks[4] & masks[10]).sum() / (masks[4] | masks[10]).sum()
    assert item.reason == f"has the same pixels as i04, but their masks overlap by only {overlap:.0%}"


@pytest.mark.parametrize("turned", [True, False], ids=["mask turned too", "mask not turned"])
def test_the_masks_of_turned_copies_are_turned(make, turned):
    masks = [usual(seed) for seed in range(12)]
    masks[11] = np.rot90(masks[3], 2) if turned else masks[3]
    images = {"i11": np.ascontiguousarray(np.rot90(texture(3, SIZE), 2))}
    found = check(make, masks, images).suspicious
    assert [item.id for item in found] == ([] if turned else ["i11"])


def test_agreement():
    labels = LabelSpec("multiclass", ("a", "b", "c"))
    one = np.array([[0, 1, 2], [2, 0, 1]], np.uint8)
    two = np.array([[0, 1, 1], [2, 2, 0]], np.uint8)
    assert foreground_iou(labels, one, two) == pytest.approx(2 / 5)
    assert foreground_iou(labels, np.zeros((2, 2)), np.zeros((2, 2))) == 1.0


def test_an_image_of_no_class_is_not_covered_by_one(make):
    """Where class 0 is the background: three empty masks, one of a single class, one of two side by side."""
    masks = {}
    for number in range(14):
        one, two = usual(number), np.zeros(SIZE, np.uint8)
        two[-9:] = 1 - one[-9:]
        if number in (2, 5, 11):
            one[:], two[:] = 0, 0
        if number == 4:
            one[:], two[:] = 0, 1
        if number == 7:
            one[:], two[:] = 0, 0
            one[:, :33], two[:, 33:] = 1, 1
        masks[f"i{number:02d}"] = (one, two)
    texts = {f"{name}_{place}": encode(mask) for name, own in masks.items() for place, mask in enumerate(own)}
    images = {name: texture(number, SIZE) for number, name in enumerate(masks)}
    form = {"rows": "class", "class_separator": "_", "class_values": ["0", "1"], "metric": "miou"}
    competition = make(images, texts, class_names=["background", "roof", "road"], **form)
    report = check_data(competition, FoldsConfig(kind="holdout"))
    assert [(item.id, item.reason) for item in report.suspicious] == [("i04", "covers 100.0% of the image")]
    assert "usual here" not in report.facts


def test_label_files_of_a_single_class_each(tmp_path):
    labels = [np.full(SIZE, number % 3, np.uint8) for number in range(12)]
    report = check_data(write_label_maps(tmp_path, labels, SIZE), FoldsConfig(kind="holdout"))
    assert report.facts["usual here"].startswith("12 masks are of a single class: so many")


def test_one_class_alone_in_a_competition_of_several(tmp_path):
    labels = [(np.arange(SIZE[1]) // 30 + np.zeros(SIZE, int)).astype(np.uint8) for _ in range(12)]
    labels[4][:] = 2
    report = check_data(write_label_maps(tmp_path, labels, SIZE), FoldsConfig(kind="holdout"))
    assert [(item.id, item.reason) for item in report.suspicious] == [("images/04.png", "is of a single class")]
    # Class 0 is a class like the others: three stripes in each of 11, one in the other.
    assert report.masks.table["components"].sum() == 34
