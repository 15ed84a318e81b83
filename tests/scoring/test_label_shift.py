"""Planted offsets are recovered from maps that networks would make, and nothing is found where nothing is."""

import cv2
import numpy as np
import pytest
from scipy import ndimage
from tests.drawn_runs import make_run

from maskfold.config import override
from maskfold.ensembling.submit import default_choice
from maskfold.labels import Label, LabelSpec
from maskfold.scoring.label_shift import LabelShift, Offset, label_shift_oof
from maskfold.scoring.registration import agreement, edge_agreement, register

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


def photograph(rng, fine, size):
    """Roofs brighter or darker than the ground, a little blurred, with noise: uint8 (H, W, 3)."""
    ground, roof = rng.uniform(60, 120, 3), rng.uniform(130, 220, 3)
    image = ground + (roof - ground) * ndimage.gaussian_filter(area(fine, (0, 0), size), 0.6)[..., None]
    return np.clip(image + rng.normal(0, 8, image.shape), 0, 255).astype(np.uint8)


def found(seed, shift, *, learned=(0, 0), blur=1.0, images=60, size=(56, 72), drawn_aside=(0, 0)):
    """What is found where masks stand ``shift`` beside images, and networks put objects ``drawn_aside`` in any view."""
    rng, of_maps, of_edges = np.random.default_rng(seed), [], []
    for _ in range(images):
        fine = scene(rng, size)
        label = Label.whole((area(fine, shift, size) >= 0.5).astype(np.uint8))
        maps = seen(rng, fine, size, learned=learned, blur=blur)
        of_maps.append(agreement(ndimage.shift(maps, (0, *drawn_aside), order=1, mode="nearest"), label, ROOF))
        of_edges.append(edge_agreement(photograph(rng, fine, size), label, ROOF))
    return LabelShift(*(Offset.of(register(np.array(each))) for each in (of_maps, of_edges)), images)


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
    assert measured.found
    for witness in (measured.maps, measured.edges):
        assert witness.shift == pytest.approx(shift, abs=0.1)
        for value, low, high in zip(shift, witness.low, witness.high, strict=True):
            assert low - 0.05 < value < high + 0.05
            assert high - low < 0.5
    assert f"data.label_shift '{measured.key}'" in measured.line()


def test_what_only_maps_say_is_not_the_masks_doing():
    """Networks that put every object too far up, however the image is turned: shadows tell them."""
    measured = found(3, (0, 0), drawn_aside=(-0.6, 0))
    assert measured.maps.sides() == (1, 0)
    assert measured.edges.shift == pytest.approx((0, 0), abs=0.1)
    assert not measured.found
    assert "do not say" in measured.line()


def test_both_must_say_it_of_one_direction_and_to_one_side():
    down, right, up = (
        Offset(shift, tuple(np.subtract(shift, 0.1)), tuple(np.add(shift, 0.1)))
        for shift in ((0.4, 0.0), (0.0, 0.4), (-0.4, 0.0))
    )
    assert LabelShift(down, down, 50).found
    assert not LabelShift(down, right, 50).found
    assert not LabelShift(down, up, 50).found
    assert not LabelShift(right, Offset((0.0, 3.0), (0.0, 2.0), (0.0, 3.0)), 50).found, "beyond what is tried"
    assert LabelShift(up, up, 50, undone=(0.5, 0.25)).key == "[0.1, 0.2]"


def test_less_than_matters_is_of_no_side():
    assert Offset((0.1, 0.0), (0.05, -0.1), (0.12, 0.1)).sides() == (0, 0)
    assert Offset((0.2, -0.2), (0.05, -0.3), (0.3, -0.1)).sides() == (1, -1)


@pytest.mark.slow
def test_no_false_alarm():
    alarms = [seed for seed in range(20) if found(seed, (0, 0), images=40).found]
    assert alarms == []


@pytest.mark.parametrize("views", ["flips", "none"])
def test_out_of_fold_maps_of_a_run(views, config, competition, truth, tmp_path, monkeypatch):
    """Maps that stand one pixel below and two to the left of the masks: the masks stand the other way."""
    from maskfold.scoring import registration

    monkeypatch.setattr(registration, "FEWEST", 10)
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
        assert measured.maps.shift == pytest.approx((-1, 2), abs=0.1)
        # Of a run that undoes a shift the maps were moved to where the masks are, the images were not.
        other = make_run(tmp_path, "b", override(config, {"data.label_shift": [0.5, -1]}), found, valid)
        moved = label_shift_oof(default_choice([other]), competition)
        assert moved.undone == (0.5, -1)
        assert moved.maps == measured.maps
        assert moved.edges.shift == pytest.approx(np.subtract(measured.edges.shift, (0.5, -1)))
