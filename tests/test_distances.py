"""Distances against the nearest pixel of all, to the last bit."""

import numpy as np
import pytest

from maskfold.distances import SURE, distance_to_outside


def nearest(mask):
    """Of every pair of pixels; a whole number's root, rounded once."""
    rows, columns = np.nonzero(mask == 0)
    found = np.zeros(mask.shape, np.float32)
    for y, x in np.argwhere(mask):
        found[y, x] = np.sqrt(float(((rows - y) ** 2 + (columns - x) ** 2).min()))
    return found


def blots(rng, shape):
    mask = np.zeros(shape, np.uint8)
    for row, column in rng.integers(0, shape, (5, 2)):
        mask[row : row + rng.integers(5, 23), column : column + rng.integers(4, 25)] = 1
    return mask


@pytest.mark.parametrize("shape", [(53, 67), (64, 64), (9, 121)])
def test_distances_are_exact_wherever_the_mask_lies_in_memory(shape):
    mask = blots(np.random.default_rng(shape[0]), shape)
    expected = nearest(mask)
    assert expected.max() > 3
    room = np.zeros(mask.size + 64, np.uint8)
    for offset in range(64):
        moved = room[offset : offset + mask.size].reshape(shape)
        moved[:] = mask
        found = distance_to_outside(moved)
        assert found.dtype == np.float32
        np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(distance_to_outside(mask == 1), expected)


@pytest.mark.parametrize("length", [SURE - 3, SURE + 40, 3 * SURE])
def test_far_distances_are_exact_too(length):
    """Two pixels outside, at one end: where squares have more than 24 bits or so, floats do not hold them."""
    mask = np.ones((9, length), np.uint8)
    mask[0, 0] = mask[7, 2] = 0
    y, x = np.indices(mask.shape)
    squares = np.minimum(y**2 + x**2, (y - 7) ** 2 + (x - 2) ** 2)
    np.testing.assert_array_equal(distance_to_outside(mask), np.sqrt(squares.astype(float)).astype(np.float32))


def test_where_nothing_is_outside_all_are_as_far():
    assert (distance_to_outside(np.ones((3, 5), bool)) == 1).all()
    assert not distance_to_outside(np.zeros((3, 5), bool)).any()
    assert distance_to_outside(np.zeros((0, 5), bool)).shape == (0, 5)
