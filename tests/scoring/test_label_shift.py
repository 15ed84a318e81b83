"""Planted offsets are recovered from maps that networks would make, and nothing is found where nothing is."""

import cv2
import numpy as np
import pytest
from scipy import ndimage
from tests.drawn_runs import make_run

from maskfold.config import override
from maskfold.ensembling.submit import default_choice
from maskfold.labels import Label, LabelSpec
from maskfold.scoring.label_shift import LabelShift, agreement, label_shift_oof, register, summit

ROOF = LabelSpec("binary", ("roof",))
FINE = 8  # parts of a pixel in which scenes are drawn


def area(fine, shift, size):
    """What a sensor sees of a scene that stands ``shift`` pixels down and right: means over pixels, 0 to 1."""
    matrix = np.float32([[1, 0, shift[1] * FINE], [0, 1, shift[0] * FINE]])
    there = cv2.warpAffine(fine, matrix, fine.shape[::-1], borderMode=cv2.BORDER_REPLICATE)
    return cv2.resize(there, size[::-1], interpolation=cv2.INTER_AREA)


def scene(rng, size=(56, 72)):
    """Turned rectangles that reach the image's edges, and a wedge: nothing is symmetric."""
    fine = np.zeros((size[0] * FINE, size[1] * FINE), np.float32)
    for _ in range(4):
        box = (rng.uniform(0, fine.shape[::-1]).tolist(), (rng.uniform(5, 20, 2) * FINE).tolist(), rng.uniform(0, 180))
        cv2.fillPoly(fine, [np.rint(cv2.boxPoints(box)).astype(np.int32)], 1.0)
    cv2.fillPoly(fine, [(rng.uniform(0, 1, (3, 2)) * fine.shape[::-1]).astype(np.int32)], 1.0)
    return fine


def seen(rng, fine, size, *, learned, blur):
    """The mean of an image and its half-turn, by a network that puts objects ``learned`` beside where they are."""
    maps = []
    for sign in (1, -1):
        found = ndimage.gaussian_filter(area(fine, np.multiply(learned, sign) + rng.normal(0, 0.3, 2), size), blur)
        noise = ndimage.gaussian_filter(rng.normal(0, 1, size), 2) * 0.6
        maps.append(np.clip(found + noise, 0, 1))
    return np.mean(maps, axis=0, dtype=np.float32)[None]


def found(seed, shift, *, learned=(0, 0), blur=1.0, images=60, size=(56, 72)):
    rng, surfaces = np.random.default_rng(seed), []
    for _ in range(images):
        fine = scene(rng, size)
        mask = (area(fine, shift, size) >= 0.5).astype(np.uint8)
        surfaces.append(agreement(seen(rng, fine, size, learned=learned, blur=blur), Label.whole(mask), ROOF))
    place, low, high = register(np.array(surfaces))
    return LabelShift(tuple(place), tuple(low), tuple(high), images)


@pytest.mark.parametrize(
    ("shift", "learned", "blur"),
    [
        ((0.5, 0.5), (0, 0), 1.0),
        ((0.5, 0.5), (0.5, 0.5), 0.6),
        ((0.25, -0.75), (0.3, 0), 1.5),
        ((-1.5, 0), (0, 0), 2.0),
    ],
)
def test_a_planted_offset_is_recovered(shift, learned, blur):
    """Also where the network has learned all of it: on the image it is then not to be seen, on its half-turn twice."""
    measured = found(3, shift, learned=learned, blur=blur, images=100)
    assert measured.shift == pytest.approx(shift, abs=0.1)
    assert measured.found
    for value, low, high in zip(shift, measured.low, measured.high, strict=True):
        assert low - 0.05 < value < high + 0.05
        assert high - low < 0.5
    assert f"data.label_shift '{measured.key}'" in measured.line()


@pytest.mark.slow
def test_no_false_alarm():
    alarms = [seed for seed in range(20) if found(seed, (0, 0), images=40).found]
    assert alarms == []


def test_agreement_by_hand():
    """Three classes and pixels that do not count, term by term."""
    labels, rng = LabelSpec("multiclass", ("a", "b", "c")), np.random.default_rng(0)
    mask = rng.integers(0, 3, (11, 13)).astype(np.uint8)
    valid = rng.random((11, 13)) > 0.2
    probability = rng.dirichlet([1, 1, 1], (11, 13)).transpose(2, 0, 1).astype(np.float32)
    surface = agreement(probability, Label(np.where(valid, mask, 0).astype(np.uint8), valid), labels)
    smooth = [cv2.GaussianBlur(2 * layer - 1, (0, 0), 1.0) for layer in probability]
    for down, right in ((0, 0), (2, -3), (-1, 3)):
        total = 0.0
        for y in range(3, 8):
            for x in range(3, 10):
                if valid[y, x]:
                    total += sum((1 if mask[y, x] == c else -1) * smooth[c][y - down, x - right] for c in range(3))
        assert surface[down + 3, right + 3] == pytest.approx(total, rel=1e-4)


def test_the_summit_of_a_quadratic_is_exact():
    y, x = np.mgrid[-3:4, -3:4]
    surface = 5 - 2 * (y - 0.4) ** 2 - (x + 1.2) ** 2 + 0.5 * (y - 0.4) * (x + 1.2)
    assert summit(surface) == pytest.approx([0.4, -1.2])
    assert summit(-((y - 5.0) ** 2) - (x * 1.0) ** 2) == pytest.approx([3, 0]), "beyond what is tried"


def test_too_few_images_or_groups_show_nothing():
    surfaces = np.stack([-((np.mgrid[-3:4, -3:4] - 1.0) ** 2).sum(0)] * 30)
    flat = np.zeros((5, 7, 7))
    assert register(surfaces[:19]) is None
    assert register(np.concatenate([surfaces[:19], flat])) is None
    assert register(surfaces, groups=np.arange(30) % 5) is None
    assert register(surfaces, groups=np.arange(30) % 6)[0] == pytest.approx([1, 1])
    assert register(np.zeros((0, 7, 7))) is None


@pytest.mark.parametrize("views", ["flips", "none"])
def test_out_of_fold_maps_of_a_run(views, config, competition, truth, tmp_path, monkeypatch):
    """Maps that stand one pixel below and two to the left of the masks: the masks stand the other way."""
    from maskfold.scoring import label_shift

    monkeypatch.setattr(label_shift, "FEWEST", 10)
    config = override(config, {"tta.views": views})
    ids = sorted(truth)
    valid = {0: ids[::2], 1: ids[1::2]}
    maps = {n: ndimage.shift(truth[n].astype(np.float32), (1, -2), order=0, mode="nearest")[None] for n in ids}
    found = {"best": {fold: {n: maps[n] for n in own} for fold, own in valid.items()}}
    run = make_run(tmp_path, "a", config, found, valid)
    measured = label_shift_oof(default_choice([run]), competition)
    if views == "none":
        assert measured is None, "an offset may have been learned"
    else:
        assert measured.shift == pytest.approx((-1, 2), abs=0.1)
        assert measured.key == "[-1, 2]"
