import numpy as np
import pytest

from maskfold.competitions.label_map import LabelMap
from maskfold.errors import CompetitionError

STREETS = {"7": "0", "8": "1", "11-13": "2-4", "19-20": "5", "others": "255"}


def test_values_become_classes_and_back():
    values = np.array([[7, 8, 11, 12], [13, 19, 20, 33]], np.uint8)
    label = LabelMap(STREETS).label(values, "x.png")
    np.testing.assert_array_equal(label.values, [[0, 1, 2, 3], [4, 5, 5, 0]])
    np.testing.assert_array_equal(label.valid, [[1, 1, 1, 1], [1, 1, 1, 0]])
    assert label.values.dtype == np.uint8
    written = LabelMap(STREETS).values(np.array([[0, 1, 2], [3, 4, 5]], np.uint8))
    np.testing.assert_array_equal(written, [[7, 8, 11], [12, 13, 19]])
    assert written.dtype == np.uint8


def test_the_first_entry_counts_and_is_what_is_written():
    nearly = LabelMap({"0": "0", "255": "1", "1-127": "0", "128-254": "1"})
    label = nearly.label(np.array([[0, 3, 127, 128, 250, 255]], np.uint8), "x.png")
    np.testing.assert_array_equal(label.values, [[0, 0, 0, 1, 1, 1]])
    np.testing.assert_array_equal(nearly.values(np.array([[1, 0]], np.uint8)), [[255, 0]])
    firsts = LabelMap({"10": "0", "1-20": "1", "300": "2"})
    np.testing.assert_array_equal(firsts.label(np.array([[9, 10, 11]], np.uint16), "x").values, [[1, 0, 1]])
    np.testing.assert_array_equal(firsts.values(np.array([[0, 2, 1]], np.uint8)), [[10, 300, 1]])


def test_colours():
    colours = LabelMap({"0 255 255": "0", "255 255 0": "1", "0 0 0": "255", "0-127 128-255 128-255": "0"})
    values = np.array([[(0, 255, 255), (255, 255, 0)], [(0, 0, 0), (120, 130, 255)]], np.uint8)
    label = colours.label(values, "x.png")
    np.testing.assert_array_equal(label.values, [[0, 1], [0, 0]])
    np.testing.assert_array_equal(label.valid, [[True, True], [False, True]])
    written = colours.values(np.array([[1, 0, 0]], np.uint8))
    np.testing.assert_array_equal(written, [[(255, 255, 0), (0, 255, 255), (0, 255, 255)]])
    assert written.dtype == np.uint8


def test_what_is_not_named_is_listed():
    with pytest.raises(CompetitionError, match=r"a\.png holds the values 3, 9, which label_map does not name: write"):
        LabelMap({"0": "0", "1": "1"}).label(np.array([[0, 9, 3, 9]], np.uint8), "a.png")
    message = r"a\.png holds the colours \(red green blue\) 1 2 3, 9 0 0, which label_map does not name"
    with pytest.raises(CompetitionError, match=message):
        LabelMap({"0 0 0": "0"}).label(np.array([[(9, 0, 0), (1, 2, 3), (0, 0, 0)]], np.uint8), "a.png")
    with pytest.raises(CompetitionError, match=r"a\.png holds int32 up to 70000, expected whole numbers 0\.\.65535"):
        LabelMap({"0": "0"}).label(np.array([[70000]], np.int32), "a.png")


@pytest.mark.parametrize(
    "entries",
    [
        {"a": "0"}, {"3-1": "0"}, {"1": "256"}, {"0-3": "0-2"}, {"1 2": "0"}, {"1 2 256": "0"}, {"70000": "0"},
        {"1": "-1"}, {"0-1": "254-255"}, {"0-1 2 3": "0-1"}, {"0": "0", "others": "1-2"}, {}, {"0": "0", "1 2 3": "1"},
    ],
)  # fmt: skip
def test_maps_that_cannot_be_read(entries):
    with pytest.raises(CompetitionError, match="expected values"):
        LabelMap(entries)


def test_classes_and_names_must_fit():
    LabelMap(STREETS).check(("road", "sidewalk", "building", "wall", "fence", "light"))
    with pytest.raises(CompetitionError, match=r"no value for the classes 6 \(sign\): there are the classes 0\.\.6"):
        LabelMap(STREETS).check(("road", "sidewalk", "building", "wall", "fence", "light", "sign"))
    with pytest.raises(CompetitionError, match="has the classes 4, 5, of which there are no names"):
        LabelMap(STREETS).check(("road", "sidewalk", "building", "wall"))
