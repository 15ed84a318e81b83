"""Focal loss against its definition, against torchvision, and where its slope is infinite."""

import math
from functools import partial

import pytest
import torch
from torchvision.ops import sigmoid_focal_loss

from maskfold.losses import BCEWithLogitsLoss, CrossEntropyLoss, FocalLoss


def by_definition(gamma, image_pixels, alpha=lambda y: 1.0):
    def loss(logits, target):
        values = []
        for n in range(len(logits)):
            p, y = image_pixels(logits, target, n)
            if image_pixels.keywords["task"] != "multiclass":  # each class is one of two
                p, y = (torch.stack([rows.flatten(), 1 - rows.flatten()]) for rows in (p, y))
            wrong, entropy = ((1 - p) * y).sum(0), -(p.log() * y).sum(0)
            values.append(alpha(y) * wrong**gamma * entropy)
        values = torch.cat(values)
        return values.mean() if len(values) else logits.nan_to_num().sum() * 0

    return loss


@pytest.mark.parametrize("gamma", [0.5, 1.0, 2.0, 3.5])
def test_scalar_alpha(any_case, agree, image_pixels, gamma):
    reference = by_definition(gamma, image_pixels, alpha=lambda y: 0.8)
    agree(partial(FocalLoss, gamma=gamma, alpha=0.8), reference, any_case)


def test_balanced_alpha(independent, agree, image_pixels):
    reference = by_definition(2.0, image_pixels, alpha=lambda y: 0.3 * y[0] + 0.7 * y[1])
    agree(partial(FocalLoss, alpha=0.3, alpha_form="balanced"), reference, independent)


def test_torchvision():
    torch.manual_seed(0)
    logits, target = 3 * torch.randn(2, 1, 6, 5), (torch.rand(2, 1, 6, 5) < 0.3).float()
    wanted = sigmoid_focal_loss(logits, target, alpha=0.25, gamma=2, reduction="mean")
    torch.testing.assert_close(FocalLoss(alpha=0.25, alpha_form="balanced")(logits, target), wanted)
    wanted = sigmoid_focal_loss(logits, target, alpha=-1, gamma=3, reduction="mean")
    torch.testing.assert_close(FocalLoss(gamma=3)(logits, target), wanted)


def test_gamma_zero_is_cross_entropy():
    torch.manual_seed(1)
    logits, target = torch.randn(2, 3, 6, 5), torch.randint(0, 3, (2, 6, 5))
    torch.testing.assert_close(FocalLoss("multiclass", gamma=0)(logits, target), CrossEntropyLoss()(logits, target))
    logits, target = torch.randn(2, 1, 6, 5), torch.rand(2, 1, 6, 5)
    torch.testing.assert_close(FocalLoss(gamma=0)(logits, target), BCEWithLogitsLoss()(logits, target))


def test_binary_is_softmax_over_two_classes():
    torch.manual_seed(2)
    logits, soft = 2 * torch.randn(2, 1, 6, 5), torch.rand(2, 1, 6, 5)
    two = torch.cat([torch.zeros_like(logits), logits], dim=1)
    one, other = (FocalLoss(task, gamma=1.5) for task in ("binary", "multiclass"))
    torch.testing.assert_close(one(logits, soft), other(two, torch.cat([1 - soft, soft], dim=1)))


@pytest.mark.parametrize("gamma", [0.01, 0.5, 1.0, 2.0])
@pytest.mark.parametrize("scale", [1, 17, 40, 95, 200])
@pytest.mark.parametrize("channels", [1, 3])
def test_sure_pixels_have_finite_gradients(gamma, scale, channels):
    logits = torch.zeros(1, channels, 1, 2)
    logits[0, 0, 0] = torch.tensor([scale, -scale])
    logits.requires_grad_()
    target = torch.tensor([[[[1.0, 0]]]]) if channels == 1 else torch.tensor([[[0, 1]]])
    loss = FocalLoss("binary" if channels == 1 else "multiclass", gamma=gamma)(logits, target)
    loss.backward()
    assert loss.isfinite()
    assert logits.grad.isfinite().all()


def test_sure_and_right_pixels_keep_their_digits():
    """At logit 12, 1 - sigmoid(12) has two digits left in float32."""
    q = 1 / (1 + math.exp(12))
    loss = FocalLoss(gamma=2)(torch.full((1, 1, 2, 2), 12.0), torch.ones(1, 1, 2, 2))
    assert loss.item() == pytest.approx(-(q**2) * math.log1p(-q), rel=1e-5, abs=0)


def test_balanced_alpha_weighs_foreground_and_background():
    with pytest.raises(ValueError, match=r"balanced.*use 'scalar'"):
        FocalLoss("multiclass", alpha=0.25, alpha_form="balanced")


@pytest.mark.parametrize("options", [{"gamma": -1}, {"alpha": -0.1}, {"alpha_form": "paper"}])
def test_bad_options(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        FocalLoss(**options)
    with pytest.raises(ValueError, match="alpha"):
        FocalLoss(alpha=1.5, alpha_form="balanced")


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("gamma", [0.5, 2.0])
def test_gradcheck(channels, gamma):
    torch.manual_seed(3)
    logits = torch.randn(2, channels, 3, 4, dtype=torch.float64, requires_grad=True)
    target = torch.rand(2, channels, 3, 4, dtype=torch.float64).softmax(1) if channels > 1 else torch.rand(2, 1, 3, 4)
    assert torch.autograd.gradcheck(
        lambda x: FocalLoss("binary" if channels == 1 else "multiclass", gamma)(x, target), logits
    )
