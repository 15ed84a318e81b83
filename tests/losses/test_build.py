"""From config to loss: every name, every complaint."""

import pytest
import torch

from maskfold.losses import LOSSES, BCEWithLogitsLoss, DiceLoss, build_loss
from maskfold.losses._common import SegmentationLoss


def test_terms_become_what_they_say():
    g = torch.Generator().manual_seed(0)
    logits, target = torch.randn(2, 1, 6, 5, generator=g), (torch.rand(2, 1, 6, 5, generator=g) < 0.5).float()
    batch = {"mask": logits}, {"mask": target}
    loss = build_loss(
        [
            {"name": "bce"},
            {"name": "dice", "weight": 0.5, "from_epoch": 2, "until_epoch": 3, "options": {"smooth": 3.0, "beta": 2}},
            {"name": "focal", "weight": 2, "from_epoch": 2, "ramp_epochs": 2, "until_epoch": None, "options": None},
        ]
    )
    bce, terms = loss(*batch)
    assert set(terms) == {"bce"}
    loss.set_epoch(2)
    value, terms = loss(*batch)
    torch.testing.assert_close(terms["dice"], DiceLoss(smooth=3.0, beta=2)(logits, target))
    torch.testing.assert_close(value, bce + 0.5 * terms["dice"] + terms["focal"])
    loss.set_epoch(4)
    assert set(loss(*batch)[1]) == {"bce", "focal"}


def test_outputs_without_terms_get_those_of_the_mask():
    g = torch.Generator().manual_seed(1)
    outputs = dict(zip(("mask", "deep_1", "deep_2"), torch.randn(3, 2, 1, 6, 5, generator=g), strict=True))
    targets = {"mask": torch.ones(2, 1, 6, 5)}
    spec = [{"name": "bce", "weight": 0.5}, {"name": "dice", "from_epoch": 2}]
    loss = build_loss(spec, outputs=["deep_1", "deep_2"])
    loss.set_epoch(2)
    value, terms = loss(outputs, targets)
    assert list(terms) == ["bce", "dice", "deep_1_bce", "deep_1_dice", "deep_2_bce", "deep_2_dice"]
    wanted = sum(
        coefficient
        * (0.5 * BCEWithLogitsLoss()(outputs[name], targets["mask"]) + DiceLoss()(outputs[name], targets["mask"]))
        for name, coefficient in (("mask", 1), ("deep_1", 0.4), ("deep_2", 0.4))
    )
    torch.testing.assert_close(value, wanted)
    own = build_loss([*spec, {"name": "focal", "weight": 0.1, "output": "deep_2"}], outputs=["deep_1", "deep_2"])
    assert list(own(outputs, targets)[1]) == ["bce", "deep_2_focal", "deep_1_bce"]


def test_a_loss_from_outside_the_package():
    loss = build_loss([{"name": "tests.losses.test_build:Ones", "options": {"factor": 3.0}}])
    value, terms = loss({"mask": torch.zeros(1, 1, 2, 3)}, {"mask": torch.zeros(1, 1, 2, 3)})
    assert (value, list(terms)) == (18, ["Ones"])


class Ones(SegmentationLoss):
    def __init__(self, factor: float = 1.0) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, logits, target, **_):
        return self.factor * torch.ones_like(logits).sum()


def targets_for(loss, logits, target):
    return {"mask": target, **{name: torch.randn_like(logits) for name in loss.needs}}


def batch_for(name):
    channels = 4 if name in ("cross_entropy", "lovasz_softmax") else 1
    g = torch.Generator().manual_seed(2)
    target = torch.randint(0, max(channels, 2), (2, 12, 11), generator=g)
    target[0, 3:5] = 255
    target = target if channels > 1 else target[:, None].float()
    return torch.randn(2, channels, 12, 11, generator=g, requires_grad=True), target


@pytest.mark.parametrize("name", LOSSES)
def test_every_name_trains(name):
    logits, target = batch_for(name)
    loss = build_loss([{"name": name}])
    value, terms = loss({"mask": logits}, targets_for(loss, logits, target))
    value.backward()
    assert value.isfinite()
    assert logits.grad.norm() > 0
    assert not logits.grad[0, :, 3:5].any()
    assert list(terms) == [name]


@pytest.mark.parametrize("name", LOSSES)
def test_mixed_precision_computes_in_float32(name):
    logits, target = batch_for(name)
    half = logits.detach().bfloat16()
    loss = build_loss([{"name": name}])
    targets = targets_for(loss, logits, target)
    with torch.autocast("cpu", torch.bfloat16):
        found, _ = loss({"mask": half}, targets)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, loss({"mask": half.float()}, targets)[0], rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("name", LOSSES)
def test_ignore_index_reaches_every_loss(name):
    assert build_loss([{"name": name}])._losses[0].ignore_index == 255
    assert build_loss([{"name": name}], ignore_index=None)._losses[0].ignore_index is None
    own = {"name": name, "options": {"ignore_index": 7}}
    assert build_loss([own])._losses[0].ignore_index == 7


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ([{"name": "dise"}], "did you mean dice"),
        ([{"name": "zzz"}], "known are bce, cross_entropy"),
        ([{"name": None}], "no loss None"),
        ([{"weight": 1}], "has no name"),
        ([{"name": "dice", "wieght": 1}], "did you mean weight"),
        ([{"name": "dice", "options": {"smoth": 1}}], "option of dice 'smoth': did you mean smooth"),
        ([{"name": "dice", "options": {"smooth": -1}}], "loss dice: smooth is -1"),
        ([{"name": "dice", "options": {"per_image": "yes"}}], "per_image of dice is 'yes'"),
        ([{"name": "dice", "options": [1]}], "options of dice"),
        ([{"name": "dice", "weight": "1e-3"}], r"1\.0e-3 as a number"),
        ([{"name": "dice", "weight": -1}], "weight of dice is -1"),
        ([{"name": "dice", "weight": True}], "weight of dice is True"),
        ([{"name": "dice", "from_epoch": 0}], "from_epoch of dice is 0"),
        ([{"name": "dice", "from_epoch": 1.5}], "whole number"),
        ([{"name": "dice", "from_epoch": 4, "until_epoch": 3}], "until_epoch of dice is 3"),
        ([{"name": "dice", "ramp_epochs": -1}], "ramp_epochs of dice"),
        ([], "no terms"),
        (["dice"], "expected a mapping"),
        ("dice", "expected a list"),
        ({"outputs": []}, "expected a list"),
        ([{"name": "dice", "otuput": "deep_1"}], "did you mean output"),
    ],
)
def test_bad_specs(spec, message):
    with pytest.raises(ValueError, match=message):
        build_loss(spec)
