"""Cross-entropy losses against their definitions, pixel by pixel."""

import math
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from tests.losses.conftest import marked

from maskfold.errors import MaskfoldError
from maskfold.losses import BCEWithLogitsLoss, CrossEntropyLoss
from maskfold.losses.pixel import contrast


def mean_over_pixels(value, image_pixels):
    """Mean of ``value(p, y) -> (values (M,), weights (M,))`` over the valid pixels of a batch."""

    def loss(logits, target):
        parts = [value(*image_pixels(logits, target, n)) for n in range(len(logits))]
        total = sum(values.sum() for values, _ in parts)
        weight = sum(float(weights.sum()) for _, weights in parts)
        return total / weight if weight else logits.nan_to_num().sum() * 0

    return loss


@pytest.mark.parametrize(("pos_weight", "smoothing"), [(1.0, 0.0), (3.0, 0.0), (0.5, 0.2)])
def test_bce(independent, agree, image_pixels, pos_weight, smoothing):
    def value(p, y):
        y = y * (1 - smoothing) + 0.5 * smoothing
        return -(pos_weight * y * p.log() + (1 - y) * (1 - p).log()), torch.ones_like(p)

    loss = partial(BCEWithLogitsLoss, pos_weight=pos_weight, label_smoothing=smoothing)
    agree(loss, mean_over_pixels(value, image_pixels), independent)


def by_hand_contrast(target, valid, radius):
    """Largest minus smallest valid label of each pixel's window, by loops."""
    height, width = target.shape
    found = torch.zeros(height, width)
    for i in range(height):
        for j in range(width):
            window = (slice(max(0, i - radius), i + radius + 1), slice(max(0, j - radius), j + radius + 1))
            labels = target[window][valid[window]]
            found[i, j] = labels.max() - labels.min() if len(labels) else 0
    return found


@pytest.mark.parametrize("radius", [1, 2])
@pytest.mark.parametrize("soft", [False, True])
def test_contrast(radius, soft):
    torch.manual_seed(0)
    target, valid = torch.rand(2, 1, 9, 7), torch.rand(2, 1, 9, 7) < 0.7
    if not soft:
        target = (target < 0.1).float()
    wanted = torch.stack([by_hand_contrast(t, v, radius) for t, v in zip(target[:, 0], valid[:, 0], strict=True)])
    torch.testing.assert_close(contrast(target, valid, radius)[:, 0], wanted)


def test_bce_smooths_along_the_outline_only():
    target = torch.zeros(1, 1, 6, 7)
    target[..., 3:] = 1
    target[..., 0] = 255  # beside background only: no outline
    logits = torch.randn(1, 1, 6, 7, generator=torch.Generator().manual_seed(1))
    smoothed = target.clone()
    smoothed[..., 2], smoothed[..., 3] = 0.1, 0.9
    wanted = F.binary_cross_entropy_with_logits(logits[..., 1:], smoothed[..., 1:])
    found = marked(BCEWithLogitsLoss(label_smoothing=0.2, smoothing="boundary"))(logits, target)
    torch.testing.assert_close(found, wanted)


def test_bce_is_torchs():
    torch.manual_seed(1)
    logits, target = 30 * torch.randn(2, 1, 6, 5), torch.rand(2, 1, 6, 5)
    wanted = F.binary_cross_entropy_with_logits(logits, target, pos_weight=torch.tensor(2.5))
    torch.testing.assert_close(BCEWithLogitsLoss(pos_weight=2.5)(logits, target), wanted)


def test_bce_is_not_for_exclusive_classes():
    with pytest.raises(MaskfoldError, match="for binary and multilabel tasks and the task is multiclass; take cross_"):
        BCEWithLogitsLoss("multiclass")


@pytest.mark.parametrize("weights", [None, [0.25, 1.0, 3.0, 0.5]])
@pytest.mark.parametrize("smoothing", [0.0, 0.3])
def test_cross_entropy(multiclass, agree, image_pixels, weights, smoothing):
    hard = multiclass.target.ndim == 3

    def value(p, y):
        w = torch.tensor(weights or [1.0] * 4, dtype=torch.float64)[:, None]
        smoothed = y * (1 - smoothing) + smoothing / 4
        return -(w * smoothed * p.log()).sum(0), (w * y).sum(0) if hard else torch.ones_like(p[0])

    loss = partial(CrossEntropyLoss, class_weights=weights, label_smoothing=smoothing)
    agree(loss, mean_over_pixels(value, image_pixels), multiclass)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_cross_entropy_is_torchs(smoothing):
    torch.manual_seed(2)
    logits, weights = torch.randn(2, 4, 6, 5), [0.2, 1.0, 3.0, 0.5]
    target = torch.randint(0, 4, (2, 6, 5))
    target[0, 1:3] = 255
    loss = marked(CrossEntropyLoss(class_weights=weights, label_smoothing=smoothing))
    wanted = F.cross_entropy(logits, target, torch.tensor(weights), ignore_index=255, label_smoothing=smoothing)
    torch.testing.assert_close(loss(logits, target), wanted)
    soft = torch.rand(2, 4, 6, 5).softmax(1)
    wanted = F.cross_entropy(logits, soft, torch.tensor(weights), label_smoothing=smoothing)
    torch.testing.assert_close(loss(logits, soft), wanted)


def test_small_class_weights_cancel():
    logits, target = torch.randn(1, 2, 1, 1), torch.zeros(1, 1, 1, dtype=torch.long)
    torch.testing.assert_close(
        CrossEntropyLoss(class_weights=[0.01, 1.0])(logits, target), CrossEntropyLoss()(logits, target)
    )


def test_cross_entropy_of_one_class_without_weight_is_zero():
    logits = torch.randn(1, 2, 3, 3, requires_grad=True)
    loss = CrossEntropyLoss(class_weights=[0.0, 1.0])(logits, torch.zeros(1, 3, 3, dtype=torch.long))
    loss.backward()
    assert loss == 0
    assert not logits.grad.any()


@pytest.mark.parametrize("task", ["binary", "multilabel"])
def test_cross_entropy_is_for_exclusive_classes(task):
    with pytest.raises(MaskfoldError, match=f"for multiclass tasks and the task is {task}; take bce"):
        CrossEntropyLoss(task)


def test_cross_entropy_refuses_weights_of_other_classes():
    with pytest.raises(MaskfoldError, match="2 class_weights and 3 logit channels"):
        CrossEntropyLoss(class_weights=[1.0, 2.0])(torch.zeros(1, 3, 4, 4), torch.zeros(1, 3, 4, 4))


@pytest.mark.parametrize(
    ("kind", "options", "key"),
    [
        (BCEWithLogitsLoss, {"pos_weight": -1}, "pos_weight"),
        (BCEWithLogitsLoss, {"label_smoothing": 1.5}, "label_smoothing"),
        (BCEWithLogitsLoss, {"smoothing": "edges"}, "smoothing"),
        (CrossEntropyLoss, {"class_weights": 2}, "class_weights"),
        (CrossEntropyLoss, {"class_weights": [1, "2"]}, "class weight"),
        (CrossEntropyLoss, {"label_smoothing": math.nan}, "label_smoothing"),
    ],
)
def test_bad_options(kind, options, key):
    with pytest.raises(ValueError, match=key):
        kind(**options)


def test_class_weights_follow_the_loss_and_the_logits():
    """They are moved with the loss, belong to no state, and take the logits' dtype and device where it was not."""
    loss, logits = CrossEntropyLoss(class_weights=[1, 3]), torch.randn(1, 2, 3, 4)
    classes = torch.tensor([[[0, 1, 1, 1], [0, 0, 1, 0], [1, 1, 0, 1]]])
    assert loss.state_dict() == {}
    torch.testing.assert_close(loss(logits.double(), classes).float(), loss(logits, classes))
    assert loss(logits.to("meta"), classes.to("meta")).device.type == "meta"
    assert loss.to("meta").class_weights.device.type == "meta"


def test_gradcheck():
    torch.manual_seed(3)
    binary = torch.randn(2, 1, 3, 4, dtype=torch.float64, requires_grad=True)
    several = torch.randn(2, 3, 3, 4, dtype=torch.float64, requires_grad=True)
    soft, classes = torch.rand(2, 1, 3, 4), torch.randint(0, 3, (2, 3, 4))
    bce = BCEWithLogitsLoss(pos_weight=2.0, label_smoothing=0.1, smoothing="boundary")
    assert torch.autograd.gradcheck(lambda x: bce(x, soft), binary)
    assert torch.autograd.gradcheck(lambda x: CrossEntropyLoss(class_weights=[1.0, 2, 3])(x, classes), several)
