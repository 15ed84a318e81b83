import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from maskfold.metrics import confusion_counts, dice_score, iou_score, precision, recall

SCORES = [dice_score, iou_score, precision, recall]

PRED = np.array([[1, 1, 1, 0], [0, 1, 0, 0], [0, 0, 0, 1]])
TARGET = np.array([[1, 0, 1, 1], [0, 0, 0, 255], [1, 1, 0, 255]])  # TP 2, FP 2, FN 3, TN 3, two ignored


def count_by_loop(pred, target, ignore_index=255):
    tp = fp = fn = tn = 0
    for p, t in zip(pred.ravel().tolist(), target.ravel().tolist(), strict=True):
        if t == ignore_index:
            continue
        tp += p == 1 and t == 1
        fp += p == 1 and t == 0
        fn += p == 0 and t == 1
        tn += p == 0 and t == 0
    return tp, fp, fn, tn


def test_hand_counted_case():
    assert confusion_counts(PRED, TARGET) == (2, 2, 3, 3)
    assert dice_score(PRED, TARGET) == pytest.approx(4 / 9, rel=1e-15)
    assert iou_score(PRED, TARGET) == pytest.approx(2 / 7, rel=1e-15)
    assert precision(PRED, TARGET) == pytest.approx(2 / 4, rel=1e-15)
    assert recall(PRED, TARGET) == pytest.approx(2 / 5, rel=1e-15)


@given(
    hnp.arrays(np.uint8, (3, 4, 5), elements=st.integers(0, 1)),
    hnp.arrays(np.uint8, (3, 4, 5), elements=st.sampled_from([0, 1, 255])),
)
def test_counts_equal_a_loop_and_batches_equal_images(pred, target):
    batch = confusion_counts(pred, target)
    for i in range(3):
        assert confusion_counts(pred[i], target[i]) == count_by_loop(pred[i], target[i])
        assert tuple(column[i] for column in batch) == count_by_loop(pred[i], target[i])
    for score in SCORES:
        np.testing.assert_array_equal(score(pred, target), [score(pred[i], target[i]) for i in range(3)])


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int8, np.int32, np.int64, np.uint64])
def test_any_integer_type_and_layout(dtype):
    target = np.where(TARGET == 255, 0, TARGET)
    expected = count_by_loop(PRED, target)
    assert confusion_counts(PRED.astype(dtype), np.asfortranarray(target).astype(dtype)) == expected
    padded = np.zeros((6, 8), dtype)
    padded[::2, ::2] = PRED
    assert confusion_counts(padded[::2, ::2], target.astype(dtype)) == expected


def test_torch_equals_numpy_and_nothing_is_written():
    pred, target = torch.tensor(PRED), torch.tensor(TARGET)
    before = target.clone()
    assert confusion_counts(pred.bool(), target) == (2, 2, 3, 3)
    assert dice_score(pred.to(torch.uint8), target.to(torch.uint8)) == dice_score(PRED, TARGET)
    assert torch.equal(target, before)
    assert isinstance(dice_score(pred, target), float)


@pytest.mark.parametrize("ignore_index", [-100, 255, 7])
def test_other_ignore_indices(ignore_index):
    target = np.where(TARGET == 255, ignore_index, TARGET)
    assert confusion_counts(PRED, target, ignore_index=ignore_index) == (2, 2, 3, 3)


@pytest.mark.parametrize("score", SCORES)
def test_both_empty_is_the_argument(score):
    empty = np.zeros((3, 4), np.uint8)
    half_void = empty.copy()
    half_void[1:] = 255
    assert score(empty, empty) == 1.0
    assert score(empty, half_void) == 1.0
    assert score(empty, empty, empty=0.0) == 0.0


def test_one_empty_scores_nothing_whatever_the_argument():
    empty, full = np.zeros((3, 4), np.uint8), np.ones((3, 4), np.uint8)
    for score in SCORES:
        assert score(empty, full) == 0.0
        assert score(full, empty) == 0.0


def test_predictions_on_void_do_not_count():
    target = np.array([[0, 0, 255], [0, 0, 255]], np.uint8)
    pred = np.array([[0, 0, 1], [0, 0, 1]], np.uint8)
    assert dice_score(pred, target) == 1.0


@pytest.mark.parametrize("score", SCORES)
def test_a_void_image_has_no_score(score):
    void = np.full((2, 3), 255, np.uint8)
    assert math.isnan(score(np.zeros((2, 3), np.uint8), void))
    batch = score(np.ones((2, 2, 3), np.uint8), np.stack([void, np.ones_like(void)]))
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


def test_void_is_a_value_like_others_without_ignore_index():
    with pytest.raises(ValueError, match="target holds the values 0, 1, 255"):
        dice_score(PRED, TARGET, ignore_index=None)
