"""How logits and targets are read, and what is refused."""

import pytest
import torch

from maskfold.losses._common import masked_mean, mean_over_ranks, prepare


def test_classes_become_one_hot():
    target = torch.tensor([[[0, 2], [255, 1]]])
    logits = torch.arange(12.0).view(1, 3, 2, 2)
    pixels = prepare(logits, target, 255)
    assert pixels.valid.tolist() == [[[[True, True], [False, True]]]]
    assert pixels.target[0].tolist() == [[[1, 0], [0, 0]], [[0, 0], [0, 1]], [[0, 1], [0, 0]]]
    assert pixels.logits[0].tolist() == [[[0, 1], [0, 3]], [[4, 5], [0, 7]], [[8, 9], [0, 11]]]


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int8, torch.int64, torch.float16, torch.bool])
def test_any_label_dtype(dtype):
    target = torch.tensor([0, 1, 1, 0]).view(1, 1, 2, 2).to(dtype)
    pixels = prepare(torch.zeros(1, 1, 2, 2), target, 255)
    assert pixels.target.dtype == torch.float32
    assert pixels.target.flatten().tolist() == [0, 1, 1, 0]
    assert pixels.valid.all()


def test_negative_ignore_index_does_not_wrap_in_uint8():
    target = torch.tensor([[[156, 1]]], dtype=torch.uint8)  # -100 modulo 256
    logits = torch.zeros(1, 200, 1, 2)
    assert prepare(logits, target, -100).valid.all()
    target = torch.tensor([[[-100, 1]]])
    assert prepare(logits, target, -100).valid.tolist() == [[[[False, True]]]]


def test_half_logits_keep_a_float_target():
    target = torch.full((1, 1, 1, 1), 0.123456789)
    assert prepare(torch.zeros(1, 1, 1, 1, dtype=torch.bfloat16), target, None).target.item() == target.item()


@pytest.mark.parametrize(
    ("logits", "target", "message"),
    [
        (torch.zeros(2, 1, 4, 4), torch.zeros(2, 4, 4), r"must be \(2, 1, 4, 4\)"),
        (torch.zeros(2, 3, 4, 4), torch.zeros(2, 1, 4, 4), r"or \(2, 4, 4\) \(classes\)"),
        (torch.zeros(2, 3, 4, 4), torch.zeros(2, 4, 5), "target's shape"),
        (torch.zeros(2, 4, 4), torch.zeros(2, 4, 4), r"floats \(N, C, H, W\)"),
        (torch.zeros(2, 1, 4, 4, dtype=torch.long), torch.zeros(2, 1, 4, 4), "torch.int64"),
        (torch.zeros(1, 3, 2, 2), torch.full((1, 2, 2), 3), "class 3: expected 0 to 2"),
        (torch.zeros(1, 3, 2, 2), torch.full((1, 2, 2), -1), "class -1"),
        (torch.zeros(1, 3, 2, 2), torch.full((1, 2, 2), 0.5), "fractions"),
        (torch.zeros(1, 1, 2, 2), torch.full((1, 1, 2, 2), 128), "from 128 to 128: expected 0 to 1"),
        (torch.zeros(1, 1, 2, 2), torch.full((1, 1, 2, 2), float("nan")), "from nan"),
        (torch.zeros(1, 3, 2, 2), torch.full((1, 3, 2, 2), -0.1), "from -0.1"),
    ],
)
def test_refused(logits, target, message):
    with pytest.raises(ValueError, match=message):
        prepare(logits, target, 255)


def test_an_ignore_index_that_is_a_soft_label_is_refused():
    with pytest.raises(ValueError, match="ignore_index is 0"):
        prepare(torch.zeros(1, 3, 2, 2), torch.zeros(1, 3, 2, 2), 0)
    assert not prepare(torch.zeros(1, 3, 2, 2), torch.zeros(1, 2, 2), 0).valid.any()


def test_masks_of_255_without_ignore_index_are_refused():
    with pytest.raises(ValueError, match="divide masks of 0 and 255 by 255"):
        prepare(torch.zeros(1, 1, 2, 2), torch.full((1, 1, 2, 2), 255), None)


def test_one_channel_ignores_a_soft_pixel():
    target = torch.full((1, 3, 1, 2), 1 / 3)
    target[0, 1, 0, 0] = 255
    pixels = prepare(torch.ones(1, 3, 1, 2), target, 255)
    assert pixels.valid.tolist() == [[[[False, True]]]]
    assert not pixels.target[..., 0].any()


def test_means():
    values, counted = torch.tensor([[1.0, 2, 9], [4, 5, 6]]), torch.tensor([[True, True, False], [False] * 3])
    assert masked_mean(values, counted, dim=1).tolist() == [1.5, 0]
    assert masked_mean(values, counted) == 1.5
    assert mean_over_ranks(values, counted) == 1.5
    weights = torch.tensor([[1.0, 3, 5], [7, 7, 7]])
    assert mean_over_ranks(values * weights, counted, weights) == 7 / 4
    assert mean_over_ranks(values, torch.zeros_like(counted)) == 0
