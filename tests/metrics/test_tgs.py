import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskfold.metrics import tgs_map


def pair(intersection, union, size=400):
    """Masks (20, 20) of that intersection and union; what they do not share is the prediction's."""
    pred, target = np.zeros(size, np.uint8), np.zeros(size, np.uint8)
    pred[:union] = 1
    target[:intersection] = 1
    return pred.reshape(20, -1), target.reshape(20, -1)


@pytest.mark.parametrize(
    ("intersection", "union", "score"),
    [
        (10, 20, 0.0),  # IoU 0.5 is not greater than 0.5
        (101, 200, 0.1),  # 0.505
        (11, 20, 0.1),  # 0.55 exactly: hits 0.5 only
        (56, 100, 0.2),
        (12, 20, 0.2),  # 0.6 exactly
        (13, 20, 0.3),
        (14, 20, 0.4),  # 0.7 exactly
        (3, 4, 0.5),
        (17, 20, 0.7),
        (18, 20, 0.8),  # 0.9 exactly, above np.linspace(0.5, 0.95, 10)[8]
        (19, 20, 0.9),
        (96, 100, 1.0),
        (20, 20, 1.0),
        (1, 3, 0.0),
        (0, 5, 0.0),
    ],
)
def test_hand_computed(intersection, union, score):
    pred, target = pair(intersection, union)
    assert tgs_map(pred, target) == score
    assert tgs_map(target, pred) == score


@given(st.integers(0, 400), st.integers(1, 400))
def test_equals_the_definition_in_fractions(a, b):
    intersection, union = min(a, b), max(a, b)
    hits = [Fraction(intersection, union) > Fraction(k, 20) for k in range(10, 20)]
    assert tgs_map(*pair(intersection, union)) == sum(hits) / 10


def test_empty_masks():
    empty, one = np.zeros((101, 101), np.uint8), np.zeros((101, 101), np.uint8)
    one[40, 7] = 1
    assert tgs_map(empty, empty) == 1.0
    assert tgs_map(one, empty) == 0.0
    assert tgs_map(empty, one) == 0.0


def test_batches_and_void():
    pred, target = pair(14, 20)
    whole, half = np.ones(target.shape, bool), np.ones(target.shape, bool)
    half[0, 14:20] = False  # the false positives do not count: a perfect hit
    scores = tgs_map(np.stack([pred] * 3), np.stack([target] * 3), valid=np.stack([whole, half, ~whole]))
    np.testing.assert_array_equal(scores, [0.4, 1.0, np.nan])
    assert math.isnan(tgs_map(pred, target, valid=~whole))
