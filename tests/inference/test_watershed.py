"""Objects that touch are told apart, with a map of the network's and without."""

import sys

import numpy as np
import pytest

from maskfold.config import PostConfig
from maskfold.errors import ConfigError, InferenceError
from maskfold.inference import Prediction, Step
from maskfold.inference.decoding import build_chain, telling_apart, tunable_values
from maskfold.instances import borders, components, depths
from maskfold.labels import LabelSpec

BINARY = LabelSpec("binary", ("nucleus",))


def discs(*places, shape=(44, 60)):
    """int32 (H, W): discs (row, column, radius), the first ones in front."""
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    found = np.zeros(shape, np.int32)
    for number, (row, column, radius) in reversed(list(enumerate(places, start=1))):
        found[(rows - row) ** 2 + (columns - column) ** 2 <= radius**2] = number
    return found


# Three that touch in a row, a small one beside them, and one alone.
CELLS = discs((14, 12, 9), (15, 28, 8), (16, 44, 9), (31, 14, 4), (36, 46, 6))


def decode(inside=None, cells=CELLS, **watershed):
    probability = np.where(cells > 0, np.float32(0.95), np.float32(0.04))[None]
    return build_chain(PostConfig(watershed=watershed), BINARY)(Prediction("a", 0, probability, inside=inside))


def matched(found, truth=CELLS):
    """How many true objects have a found one with an IoU above 0.7."""
    ious = [
        ((found == f) & (truth == t)).sum() / ((found == f) | (truth == t)).sum()
        for t in np.unique(truth)[1:]
        for f in np.unique(found)[1:]
    ]
    return sum(iou > 0.7 for iou in ious)


def test_touching_discs_are_told_apart_where_components_are_not():
    apart = decode()
    assert matched(components(CELLS > 0)) == 2
    assert matched(apart) == 5
    assert apart.dtype == np.int32
    np.testing.assert_array_equal(apart > 0, CELLS > 0)  # not a pixel is lost or won
    assert len(np.unique(apart)) == 6


def test_a_part_that_hangs_on_by_a_corner_belongs_to_the_object():
    """Components have 8 neighbours, and so does the growth from a marker: a part without one of its own is reached."""
    cells = np.zeros((10, 12), np.int32)
    cells[1:6, 1:6] = cells[6:8, 6:9] = 1
    np.testing.assert_array_equal(decode(cells=cells), cells)


def test_without_it_a_mask_stays_a_mask():
    probability = (CELLS > 0)[None].astype(np.float32)
    assert build_chain(PostConfig(), BINARY).decode(probability).dtype == np.uint8


@pytest.mark.parametrize("inside", [depths(CELLS), 1 - borders(CELLS).astype(np.float32)])
def test_a_map_of_the_network_tells_what_shapes_do_not(inside):
    """Two squares that make one rectangle: only the map knows of them."""
    square = np.zeros((20, 44), np.int32)
    square[4:16, 4:21], square[4:16, 21:40] = 1, 2
    found = decode(cells=square)
    assert len(np.unique(found)) == 2
    found = decode(depths(square), cells=square)
    assert matched(found, square) == 2
    assert matched(decode(inside)) == 5


def test_markers_that_are_too_small_are_left_out():
    inside = np.where(CELLS > 0, np.float32(0.6), np.float32(0))
    inside[borders(CELLS)] = 0
    inside[14, 12], inside[9:13, 40:44] = 1, 1
    assert len(np.unique(decode(inside, marker=0.9))) == 5  # the row of three has two markers
    assert len(np.unique(decode(inside, marker=0.9, marker_area=1))) == 5
    assert len(np.unique(decode(inside, marker=0.9, marker_area=2))) == 4
    assert len(np.unique(decode(inside, marker=0.9, marker_area=100))) == 4  # what has no marker stays one object


def test_what_is_below_the_threshold_belongs_to_no_object():
    probability = np.where(CELLS > 0, np.float32(0.4), np.float32(0))[None]
    probability[0, 20:] *= 2
    found = build_chain(PostConfig(watershed={}), BINARY).decode(probability)
    assert (found[:20] == 0).all()
    assert found[31, 14] > 0


def test_tuning_tries_markers_and_going_without():
    post = PostConfig(watershed={})
    names = [value.name for value in tunable_values(post, BINARY, {})]
    assert names[-2:] == ["watershed.marker", "watershed.marker_area"]
    assert "watershed.marker" not in [value.name for value in tunable_values(PostConfig(), BINARY, {})]


def test_validation_keeps_only_what_tells_objects_apart():
    own = f"{__name__}:Halves"
    post = PostConfig(threshold=0.2, min_area=9, watershed={"marker": 0.7})
    assert telling_apart(post) == PostConfig(watershed={"marker": 0.7})
    post = PostConfig(threshold=0.2, steps={own: {}, f"{__name__}:Wrong": {}})
    assert list(telling_apart(post).steps) == [own, f"{__name__}:Wrong"]


class Halves(Step):
    """Left and right."""

    stage = "instances"

    def __call__(self, layers, image, probability, inside):
        assert probability.shape == layers.shape
        halves = np.where(np.arange(layers.shape[1]) < 30, 1, 2)
        return (halves * layers).astype(np.int32)


class Wrong(Halves):
    def __call__(self, layers, image, probability, inside):
        return layers


def test_a_step_of_ones_own_may_tell_objects_apart():
    probability = (CELLS > 0)[None].astype(np.float32)
    own = PostConfig(steps={f"{__name__}:Halves": {}})
    found = build_chain(own, BINARY).decode(probability)
    assert found[14, 12] == 1
    assert found[16, 44] == 2
    with pytest.raises(ConfigError, match=r"watershed and .*Halves both tell objects apart"):
        build_chain(own.model_copy(update={"watershed": PostConfig(watershed={}).watershed}), BINARY)
    with pytest.raises(InferenceError, match="Wrong made uint8"):
        build_chain(PostConfig(steps={f"{__name__}:Wrong": {}}), BINARY).decode(probability)


@pytest.mark.parametrize("task", ["multilabel", "multiclass"])
def test_it_is_for_one_class(task):
    with pytest.raises(ConfigError, match=r"post.watershed tells the objects of one class apart, and there are a, b"):
        build_chain(PostConfig(watershed={}), LabelSpec(task, ("a", "b")))


def test_scikit_image_is_asked_for_where_it_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "skimage.segmentation", None)
    with pytest.raises(InferenceError, match=r"post.watershed needs scikit-image.*maskfold\[instances\]"):
        decode()
