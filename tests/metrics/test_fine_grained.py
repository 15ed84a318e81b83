import math

import numpy as np
import pytest

from maskfold.metrics.fine_grained import class_counts, layer_counts, mean_c, mean_i, worst_mean


@pytest.mark.parametrize(
    ("n", "q", "count"),
    [
        (90, 70, 63),
        (1, 1, 1),
        (99, 1, 1),
        (199, 1, 1),
        (200, 1, 2),
        (19, 5, 1),
        (40, 5, 2),
        (50, 58, 29),
        (7, 100, 7),
    ],
)
def test_worst_counts_are_exact(n, q, count):
    values = np.random.default_rng(n).permutation(np.arange(n, dtype=float) ** 2)
    assert worst_mean(values, q) == pytest.approx(sum(i**2 for i in range(count)) / count, rel=1e-12)


def test_worst_of_what_is_there():
    assert worst_mean(np.array([np.nan, 0.75, 0.5, np.nan]), 50) == 0.5
    assert math.isnan(worst_mean(np.array([np.nan])))


def test_means_over_images_first_or_classes_first():
    table = np.array([[0.5, np.nan, np.nan], [0.25, 0.75, np.nan], [1.0, 0.25, np.nan]])
    assert mean_i(table) == pytest.approx((0.5 + 0.5 + 0.625) / 3)
    assert mean_c(table) == pytest.approx(((0.5 + 0.25 + 1.0) / 3 + 0.5) / 2)
    assert mean_i(table, 67) == 0.5
    assert mean_c(table, 67) == pytest.approx(((0.25 + 0.5) / 2 + 0.25) / 2)


def test_many_classes_in_bytes():
    """Class numbers that do not fit the labels' own type times the number of classes."""
    pred = np.array([[200, 3], [254, 0]], np.uint8)
    target = np.array([[200, 254], [254, 255]], np.uint8)
    counts = class_counts(pred, target, 300, target != 255)
    assert counts.shape == (300, 3)
    expected = np.zeros((300, 3), int)
    expected[200] = 1, 0, 0
    expected[254] = 1, 0, 1
    expected[3] = 0, 1, 0
    np.testing.assert_array_equal(counts, expected)


@pytest.mark.parametrize("dtype", [np.int8, np.uint64])
def test_other_integer_types(dtype):
    labels = np.array([[0, 1, 2], [2, 2, 1]], dtype)
    np.testing.assert_array_equal(class_counts(labels, labels, 3)[:, 0], [1, 2, 3])


def test_any_pixel_may_be_left_out():
    pred, target, valid = np.array([[1, 1, 2]]), np.array([[0, 1, 1]]), np.array([[False, True, True]])
    np.testing.assert_array_equal(class_counts(pred, target, 3, valid), [[0, 0, 0], [1, 0, 1], [0, 1, 0]])
    target = np.array([[-1, 1, 1]])
    np.testing.assert_array_equal(class_counts(pred, target, 3, valid), [[0, 0, 0], [1, 0, 1], [0, 1, 0]])


def test_layers_are_counted_one_by_one():
    pred = np.array([[[1, 1, 0, 1]], [[0, 1, 1, 0]], [[0, 0, 0, 0]]])
    target = np.array([[[1, 0, 0, 1]], [[0, 1, 1, 1]], [[0, 0, 0, 0]]])
    valid = np.array([[True, True, True, False]])
    np.testing.assert_array_equal(layer_counts(pred, target), [[2, 1, 0], [2, 0, 1], [0, 0, 0]])
    np.testing.assert_array_equal(layer_counts(pred, target, valid), [[1, 1, 0], [2, 0, 0], [0, 0, 0]])
