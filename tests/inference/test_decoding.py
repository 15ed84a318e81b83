import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from maskfold.errors import InferenceError
from maskfold.inference.decoding import postprocess
from maskfold.labels import LabelSpec

BINARY = LabelSpec("binary", ("roof",))
CLASSES = LabelSpec("multiclass", ("a", "b", "c", "d"))


def drawn(text):
    """A mask from lines of . and #."""
    return np.array([[pixel == "#" for pixel in line] for line in text.split()], np.uint8)


def clean(mask, **options):
    return postprocess(mask[None].astype(np.float32), BINARY, **options)


def test_the_threshold_belongs_to_the_foreground():
    probability = np.array([[[0.2, np.nextafter(np.float32(0.2), np.float32(0)), 0.9, 0.0]]], np.float32)
    assert postprocess(probability, BINARY, threshold=0.2).tolist() == [[1, 0, 1, 0]]
    assert postprocess(probability, BINARY, threshold=0.0).tolist() == [[1, 1, 1, 1]]
    assert postprocess(probability, BINARY, threshold=1.0).tolist() == [[0, 0, 0, 0]]
    assert postprocess(probability, BINARY).dtype == np.uint8


@settings(max_examples=300, deadline=None)
@given(st.floats(0, 1) | st.integers(0, 255).map(lambda v: v / 255) | st.integers(0, 100).map(lambda v: v / 100))
def test_eight_bit_maps_are_thresholded_as_the_probabilities_that_they_stand_for(threshold):
    eight_bit = np.arange(256, dtype=np.uint8).reshape(1, 16, 16)
    as_float = eight_bit.astype(np.float32) / np.float32(255)
    np.testing.assert_array_equal(
        postprocess(eight_bit, BINARY, threshold=threshold), postprocess(as_float, BINARY, threshold=threshold)
    )


def test_small_components_go_and_diagonal_neighbours_are_one():
    mask = drawn("#.....## .#...... ..#....# ........ ####....")
    assert clean(mask, min_area=3).tolist() == drawn("#....... .#...... ..#..... ........ ####....").tolist()
    assert clean(mask, min_area=4).tolist() == drawn("........ ........ ........ ........ ####....").tolist()
    assert clean(mask, min_area=1).tolist() == mask.tolist()
    assert clean(mask, min_area=5).sum() == 0


def test_holes_are_filled_up_to_their_area_but_not_bays():
    mask = drawn("######. #....#. ###.##. #.##.#. ######. .###..# .#.#.## .....##")
    filled = clean(mask, fill_holes=1)
    assert filled.tolist() == drawn("######. #....#. ###.##. ######. ######. .###..# .#.#.## .....##").tolist()
    assert clean(mask, fill_holes=4).tolist() == filled.tolist()
    assert clean(mask, fill_holes=5)[1:3, 1:5].all()
    assert clean(mask, fill_holes=100)[6, 2] == 0


def test_holes_do_not_leak_through_diagonal_gaps():
    ring = drawn("..... ..#.. .#.#. ..#.. .....")
    assert clean(ring, fill_holes=1)[2, 2] == 1


def test_holes_are_filled_before_areas_are_counted():
    ring = drawn("..... .###. .#.#. .###. .....")
    assert clean(ring, min_area=9, fill_holes=1).sum() == 9
    assert clean(ring, min_area=9).sum() == 0


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.integers(0, 12), st.integers(0, 12), st.floats(0.3, 0.7))
def test_random_masks_as_scipy_has_it(seed, min_area, fill_holes, share):
    mask = (np.random.default_rng(seed).random((23, 31)) < share).astype(np.uint8)
    expected = mask.astype(bool)
    holes, count = ndimage.label(~expected)
    for hole in range(1, count + 1):
        where = holes == hole
        rows, columns = np.nonzero(where)
        touches = rows.min() == 0 or columns.min() == 0 or rows.max() == 22 or columns.max() == 30
        if not touches and where.sum() <= fill_holes:
            expected = expected | where
    parts, count = ndimage.label(expected, np.ones((3, 3)))
    for part in range(1, count + 1):
        if (parts == part).sum() < min_area:
            expected = expected & (parts != part)
    np.testing.assert_array_equal(clean(mask, min_area=min_area, fill_holes=fill_holes), expected)


@pytest.mark.parametrize("value", [0, 1])
def test_uniform_masks_stay(value):
    mask = np.full((5, 7), value, np.uint8)
    assert (clean(mask, min_area=3, fill_holes=50) == value).all()


def test_the_most_probable_class_wins_in_both_forms():
    probability = np.random.default_rng(0).random((4, 6, 5), np.float32)
    assert (postprocess(probability, CLASSES) == probability.argmax(0)).all()
    eight_bit = np.round(probability * 255).astype(np.uint8)
    assert (postprocess(eight_bit, CLASSES) == eight_bit.argmax(0)).all()
    assert postprocess(eight_bit, CLASSES).dtype == np.uint8


@pytest.mark.parametrize(
    ("probability", "options", "message"),
    [
        (np.zeros((4, 4), np.float32), {}, r"float32 \(4, 4\), expected"),
        (np.zeros((1, 4, 4)), {}, "float64"),
        (np.zeros((3, 4, 4), np.float32), {"min_area": 5}, "exclude each other"),
        (np.zeros((3, 4, 4), np.uint8), {"fill_holes": 5}, "exclude each other"),
    ],
)
def test_what_makes_no_sense_is_refused(probability, options, message):
    with pytest.raises(InferenceError, match=message):
        postprocess(probability, BINARY if len(probability) == 1 else CLASSES, **options)


def test_classes_that_overlap_are_cut_and_cleaned_one_by_one():
    probability = np.random.default_rng(3).random((3, 14, 11), np.float32)
    options = {"threshold": 0.4, "min_area": 5, "fill_holes": 3}
    found = postprocess(probability, LabelSpec("multilabel", ("fish", "flower", "sugar")), **options)
    for layer, alone in zip(found, probability, strict=True):
        np.testing.assert_array_equal(layer, postprocess(alone[None], BINARY, **options))
