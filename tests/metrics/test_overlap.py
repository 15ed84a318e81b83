import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from maskfold.errors import MaskfoldError
from maskfold.metrics import confusion_counts, dice_score, iou_score, precision, recall

SCORES = [dice_score, iou_score, precision, recall]

PRED = np.array([[1, 1, 1, 0], [0, 1, 0, 0], [0, 0, 0, 1]])
VALID = np.array([[1, 1, 1, 1], [1, 1, 1, 0], [1, 1, 1, 0]], bool)
# TP 2, FP 2, FN 3, TN 3; what stands where nothing counts does not matter
TARGET = np.array([[1, 0, 1, 1], [0, 0, 0, 255], [1, 1, 0, -7]])


def count_by_loop(pred, target, valid):
    tp = fp = fn = tn = 0
    for p, t, counts in zip(pred.ravel().tolist(), target.ravel().tolist(), valid.ravel().tolist(), strict=True):
        if not counts:
            continue
        tp += p == 1 and t == 1
        fp += p == 1 and t == 0
        fn += p == 0 and t == 1
        tn += p == 0 and t == 0
    return tp, fp, fn, tn


def test_hand_counted_case():
    assert confusion_counts(PRED, TARGET, valid=VALID) == (2, 2, 3, 3)
    assert dice_score(PRED, TARGET, valid=VALID) == pytest.approx(4 / 9, rel=1e-15)
    assert iou_score(PRED, TARGET, valid=VALID) == pytest.approx(2 / 7, rel=1e-15)
    assert precision(PRED, TARGET, valid=VALID) == pytest.approx(2 / 4, rel=1e-15)
    assert recall(PRED, TARGET, valid=VALID) == pytest.approx(2 / 5, rel=1e-15)


@given(
    hnp.arrays(np.uint8, (3, 4, 5), elements=st.integers(0, 1)),
    hnp.arrays(np.uint8, (3, 4, 5), elements=st.integers(0, 1)),
    hnp.arrays(bool, (3, 4, 5)),
)
def test_counts_equal_a_loop_and_batches_equal_images(pred, target, valid):
    batch = confusion_counts(pred, target, valid=valid)
    for i in range(3):
        assert confusion_counts(pred[i], target[i], valid=valid[i]) == count_by_loop(pred[i], target[i], valid[i])
        assert tuple(column[i] for column in batch) == count_by_loop(pred[i], target[i], valid[i])
    for score in SCORES:
        found = [score(pred[i], target[i], valid=valid[i]) for i in range(3)]
        np.testing.assert_array_equal(score(pred, target, valid=valid), found)


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int8, np.int32, np.int64, np.uint64])
def test_any_integer_type_and_layout(dtype):
    target = np.where(VALID, TARGET, 0)
    expected = count_by_loop(PRED, target, np.ones_like(VALID))
    assert confusion_counts(PRED.astype(dtype), np.asfortranarray(target).astype(dtype)) == expected
    padded = np.zeros((6, 8), dtype)
    padded[::2, ::2] = PRED
    assert confusion_counts(padded[::2, ::2], target.astype(dtype)) == expected


def test_torch_equals_numpy_and_nothing_is_written():
    pred, target, valid = torch.tensor(PRED), torch.tensor(TARGET), torch.tensor(VALID)
    before = target.clone()
    assert confusion_counts(pred.bool(), target, valid=valid) == (2, 2, 3, 3)
    assert dice_score(pred.to(torch.uint8), target, valid=valid) == dice_score(PRED, TARGET, valid=VALID)
    assert torch.equal(target, before)
    assert isinstance(dice_score(pred, target, valid=valid), float)


@pytest.mark.parametrize("score", SCORES)
def test_both_empty_is_the_argument(score):
    empty = np.zeros((3, 4), np.uint8)
    assert score(empty, empty) == 1.0
    assert score(empty, empty, valid=VALID) == 1.0
    assert score(empty, empty, empty=0.0) == 0.0


def test_one_empty_scores_nothing_whatever_the_argument():
    empty, full = np.zeros((3, 4), np.uint8), np.ones((3, 4), np.uint8)
    for score in SCORES:
        assert score(empty, full) == 0.0
        assert score(full, empty) == 0.0


def test_predictions_where_nothing_counts_do_not_count():
    target, valid = np.zeros((2, 3), np.uint8), np.array([[1, 1, 0], [1, 1, 0]], bool)
    assert dice_score(np.array([[0, 0, 1], [0, 0, 1]], np.uint8), target, valid=valid) == 1.0


@pytest.mark.parametrize("score", SCORES)
def test_a_void_image_has_no_score(score):
    void = np.zeros((2, 3), bool)
    assert math.isnan(score(np.zeros((2, 3), np.uint8), np.zeros((2, 3), np.uint8), valid=void))
    batch = score(np.ones((2, 2, 3), np.uint8), np.ones((2, 2, 3), np.uint8), valid=np.stack([void, ~void]))
    np.testing.assert_array_equal(batch, [np.nan, 1.0])


@pytest.mark.parametrize("probabilities", [np.full((2, 2), 0.7), torch.full((2, 2), 0.7, dtype=torch.bfloat16)])
def test_probabilities_are_refused(probabilities):
    with pytest.raises(ValueError, match="threshold probabilities"):
        dice_score(probabilities, np.ones((2, 2), np.uint8))


@pytest.mark.parametrize(
    ("pred", "target", "message"),
    [
        (np.zeros((2, 3), int), np.zeros((3, 2), int), r"\(2, 3\).*\(3, 2\)"),
        (np.zeros((1, 2, 3), int), np.zeros((2, 3), int), "one shape"),
        (np.zeros((2, 1, 2, 3), int), np.zeros((2, 1, 2, 3), int), "channels"),
        (np.zeros(6, int), np.zeros(6, int), r"expected \(H, W\)"),
        (np.full((2, 3), 255), np.zeros((2, 3), int), "pred holds the values 255"),
        (np.zeros((2, 3), int), np.full((2, 3), 2), "target holds the values 2"),
        (np.full((2, 3), -1), np.zeros((2, 3), int), "pred holds the values -1"),
    ],
)
def test_bad_masks_are_refused(pred, target, message):
    with pytest.raises(ValueError, match=message):
        confusion_counts(pred, target)


@pytest.mark.parametrize("valid", [np.ones((4, 3), bool), np.full((3, 4), 255), np.ones((1, 3, 4), bool)])
def test_what_counts_is_bool_and_of_the_masks_shape(valid):
    with pytest.raises(MaskfoldError, match=r"valid is .*: expected bool \(3, 4\)"):
        dice_score(PRED, np.abs(PRED), valid=valid)


def test_without_valid_255_is_a_value_like_others():
    with pytest.raises(MaskfoldError, match="target holds the values 0, 1, 255"):
        dice_score(PRED, np.where(VALID, TARGET, 255))
