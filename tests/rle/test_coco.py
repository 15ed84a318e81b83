"""References: what pycocotools 2.0.11 made of the same masks and polygons."""

import numpy as np
import pytest

from maskfold.rle import RLEDialect, RLEError
from maskfold.rle.coco import counts_of_string, mask_of_polygon

COUNTS = RLEDialect(layout="counts", order="F", start=0)
POLYGON = [2.5, 1.2, 9.7, 0.4, 12.9, 6.6, 7.1, 3.3, 3.0, 8.8]
FILLED = """\
.........#...
...#######...
...########..
...########..
...###...###.
...##......#.
...##........
...#.........
.............
............."""


def test_strings_of_pycocotools():
    mask = np.zeros((7, 11), np.uint8)
    mask[2:6, 3:9] = 1
    mask[0, 0] = mask[6, 10] = 1
    np.testing.assert_array_equal(COUNTS.decode(counts_of_string("01f03]O000000000;M"), mask.shape), mask)
    assert counts_of_string("jYm0`7l1") == [30010, 240, 60]  # how a mask of 300x400 with a rectangle begins
    assert counts_of_string("") == []
    assert counts_of_string("P" * 11 + "0") == [0]  # 60 bits, of which none is set


def test_a_polygon_of_pycocotools():
    expected = np.array([[pixel == "#" for pixel in row] for row in FILLED.splitlines()], np.uint8)
    mask = mask_of_polygon(POLYGON, (10, 13))
    np.testing.assert_array_equal(mask, expected)
    np.testing.assert_array_equal(COUNTS.decode(counts_of_string("o073O1N2O1000O21N2O5"), (10, 13)), expected)
    assert (mask.dtype, mask.flags["C_CONTIGUOUS"]) == (np.uint8, True)


def test_a_polygon_whose_sides_go_everywhere_and_cross():
    points = [1.3, 2.1, 8.7, 9.4, 17.2, 0.6, 12.4, 12.9, 19.6, 18.3, 9.5, 14.2, 0.7, 19.1, 5.2, 10.3]
    expected = COUNTS.decode(counts_of_string("V114081J11100L1652O1N2O0O02M2O1OLKL321MN24OJO:0a1"), (20, 20))
    assert expected.sum() == 103
    np.testing.assert_array_equal(mask_of_polygon(points, (20, 20)), expected)
    around = np.roll(np.reshape(points, (-1, 2)), 3, axis=0).ravel()
    np.testing.assert_array_equal(mask_of_polygon(around, (20, 20)), expected)


def test_polygons_along_pixels_and_beyond_the_image():
    mask = mask_of_polygon([2, 1, 6, 1, 6, 4, 2, 4], (6, 9))
    expected = np.zeros((6, 9), np.uint8)
    expected[1:4, 2:6] = 1
    np.testing.assert_array_equal(mask, expected)
    np.testing.assert_array_equal(mask_of_polygon([-5, -5, 99, -5, 99, 99, -5, 99], (4, 7)), np.ones((4, 7)))
    assert not mask_of_polygon([20, 20, 30, 20, 30, 30], (4, 7)).any()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("01 3", r"holds ' '"),
        ("01~", "holds '~'"),
        ("52é0", "holds 'é'"),
        ("5\ud8002", r"holds '\\ud800'"),  # half of a pair, which JSON can hold
        ("0P", "cut off"),
        ("P" * 12 + "0", "60 bits"),
    ],
)
def test_strings_that_are_none(text, message):
    with pytest.raises(RLEError, match=message):
        counts_of_string(text)


@pytest.mark.parametrize("points", [[], [1, 1, 2, 2], [1, 1, 2, 2, 3, 3, 4]])
def test_polygons_of_too_few_points(points):
    with pytest.raises(RLEError, match="expected x, y of three points or more"):
        mask_of_polygon(points, (4, 4))
