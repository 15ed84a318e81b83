"""How logits and targets are read, and what is refused."""

from typing import Any, ClassVar

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from maskfold.errors import MaskfoldError
from maskfold.losses import LOSSES
from maskfold.losses._common import SegmentationLoss, masked_mean, mean_over_ranks


def prepare(logits, target, valid=None, task="binary"):
    return SegmentationLoss(task).prepare(logits, target, valid)


def test_classes_become_one_hot():
    target, valid = torch.tensor([[[0, 2], [9, 1]]]), torch.tensor([[[True, True], [False, True]]])
    logits = torch.arange(12.0).view(1, 3, 2, 2)
    for form in (valid, valid[:, None]):
        pixels = prepare(logits, target, form, "multiclass")
        assert pixels.valid.tolist() == [[[[True, True], [False, True]]]]
        assert pixels.target[0].tolist() == [[[1, 0], [0, 0]], [[0, 0], [0, 1]], [[0, 1], [0, 0]]]
        assert pixels.logits[0].tolist() == [[[0, 1], [0, 3]], [[4, 5], [0, 7]], [[8, 9], [0, 11]]]


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int8, torch.int64, torch.float16, torch.bool])
def test_any_label_dtype(dtype):
    target = torch.tensor([0, 1, 1, 0]).view(1, 1, 2, 2).to(dtype)
    pixels = prepare(torch.zeros(1, 1, 2, 2), target)
    assert pixels.target.dtype == torch.float32
    assert pixels.target.flatten().tolist() == [0, 1, 1, 0]
    assert pixels.valid.all()


def test_half_logits_keep_a_float_target():
    target = torch.full((1, 1, 1, 1), 0.123456789)
    assert prepare(torch.zeros(1, 1, 1, 1, dtype=torch.bfloat16), target).target.item() == target.item()


def test_probabilities_follow_from_the_task_and_not_from_the_channels():
    logits = torch.randn(2, 3, 4, 5, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(SegmentationLoss("multiclass").probabilities(logits).sum(1), torch.ones(2, 4, 5))
    for task in ("binary", "multilabel"):
        torch.testing.assert_close(SegmentationLoss(task).probabilities(logits), 1 / (1 + (-logits).exp()))


@pytest.mark.parametrize(
    ("logits", "target", "task", "message"),
    [
        (torch.zeros(2, 1, 4, 4), torch.zeros(2, 4, 4), "binary", r"binary task it must be \(2, 1, 4, 4\)"),
        (torch.zeros(2, 3, 4, 4), torch.zeros(2, 4, 4), "multilabel", r"multilabel task it must be \(2, 3, 4, 4\)"),
        (torch.zeros(2, 3, 4, 4), torch.zeros(2, 1, 4, 4), "multiclass", r"or \(2, 4, 4\) \(classes\)"),
        (torch.zeros(2, 3, 4, 4), torch.zeros(2, 4, 5), "multiclass", "target's shape"),
        (torch.zeros(2, 4, 4), torch.zeros(2, 4, 4), "binary", r"floats \(N, C, H, W\)"),
        (torch.zeros(2, 1, 4, 4, dtype=torch.long), torch.zeros(2, 1, 4, 4), "binary", "torch.int64"),
        (torch.zeros(1, 3, 2, 2), torch.full((1, 2, 2), 3), "multiclass", "class 3: expected 0 to 2"),
        (torch.zeros(1, 3, 2, 2), torch.full((1, 2, 2), -1), "multiclass", "class -1"),
        (torch.zeros(1, 3, 2, 2), torch.full((1, 2, 2), 0.5), "multiclass", "fractions"),
        (torch.zeros(1, 1, 2, 2), torch.full((1, 1, 2, 2), 128), "binary", "from 128 to 128: expected 0 to 1"),
        (torch.zeros(1, 1, 2, 2), torch.full((1, 1, 2, 2), 255), "binary", "divide masks of 0 and 255 by 255"),
        (torch.zeros(1, 1, 2, 2), torch.full((1, 1, 2, 2), float("nan")), "binary", "from nan"),
        (torch.zeros(1, 3, 2, 2), torch.full((1, 3, 2, 2), -0.1), "multilabel", "from -0.1"),
    ],
)
def test_refused(logits, target, task, message):
    with pytest.raises(MaskfoldError, match=message):
        prepare(logits, target, None, task)


@pytest.mark.parametrize("valid", [torch.ones(1, 2, 3, dtype=torch.bool), torch.ones(1, 1, 2, 2)])
def test_what_counts_is_bool_of_the_image_size(valid):
    with pytest.raises(MaskfoldError, match=r"valid is .*: expected torch.bool of shape \(1, 1, 2, 2\)"):
        prepare(torch.zeros(1, 1, 2, 2), torch.zeros(1, 1, 2, 2), valid)


def test_a_pixel_counts_in_all_classes_or_in_none():
    pixels = prepare(
        torch.ones(1, 3, 1, 2), torch.full((1, 3, 1, 2), 1 / 3), torch.tensor([[[False, True]]]), "multilabel"
    )
    assert pixels.valid.tolist() == [[[[False, True]]]]
    assert not pixels.target[..., 0].any()
    assert not pixels.logits[..., 0].any()


def test_means():
    values, counted = torch.tensor([[1.0, 2, 9], [4, 5, 6]]), torch.tensor([[True, True, False], [False] * 3])
    assert masked_mean(values, counted, dim=1).tolist() == [1.5, 0]
    assert masked_mean(values, counted) == 1.5
    assert mean_over_ranks(values, counted) == 1.5
    weights = torch.tensor([[1.0, 3, 5], [7, 7, 7]])
    assert mean_over_ranks(values * weights, counted, weights) == 7 / 4
    assert mean_over_ranks(values, torch.zeros_like(counted)) == 0


@pytest.mark.parametrize("name", LOSSES)
def test_a_batch_without_images_costs_nothing(name):
    kind = LOSSES[name]
    for task in kind.tasks:
        logits = torch.zeros(0, 3 if task == "multiclass" else 1, 6, 5, requires_grad=True)
        loss = kind(task)(logits, torch.zeros_like(logits), **dict.fromkeys(kind.needs, torch.zeros_like(logits)))
        loss.backward()
        assert loss == 0
        assert logits.grad is not None


class Waits(TorchDispatchMode):
    """Refuses what makes a CPU wait for its device: numbers that are copied there, and ones that are read."""

    ops: ClassVar[set] = {torch.ops.aten.lift_fresh, torch.ops.aten._local_scalar_dense, torch.ops.aten.nonzero}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        assert func.overloadpacket not in self.ops, f"{func} waits"
        return func(*args, **(kwargs or {}))


OPTIONS = {
    "bce": {"pos_weight": 2.0, "label_smoothing": 0.1, "smoothing": "boundary"},
    "cross_entropy": {"class_weights": [0.5, 1, 3], "label_smoothing": 0.1},
    "focal": {"gamma": 0.5, "alpha": 0.7},
    "tversky": {"gamma": 0.75},
}


# Those that sort errors or look for boundaries have to know how many there are.
@pytest.mark.parametrize("name", sorted(LOSSES.keys() - {"lovasz_hinge", "lovasz_softmax", "active_boundary"}))
def test_no_step_waits_for_the_device(name):
    """On the device without memory, which takes the way of every device but the CPU."""
    kind = LOSSES[name]
    for task in kind.tasks:
        shape = (2, 3 if task == "multiclass" else 1, 6, 5)
        with torch.device("meta"):
            logits = torch.zeros(shape, requires_grad=True)
            target = torch.zeros((2, 6, 5), dtype=torch.long) if task == "multiclass" else torch.zeros(shape)
            valid, further = torch.ones(2, 1, 6, 5, dtype=torch.bool), dict.fromkeys(kind.needs, torch.zeros(shape))
        loss = kind(task, **OPTIONS.get(name, {})).to("meta")
        with Waits():
            loss(logits, target, valid, **further).backward()
