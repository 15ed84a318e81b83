"""From config to loss: every name, every complaint."""

import pytest
import torch
import torch.nn.functional as F

from maskfold.labels import LabelSpec
from maskfold.losses import LOSSES, BCEWithLogitsLoss, DiceLoss, SegmentationLoss, build_loss, default_loss
from maskfold.losses.build import PRESENCE_WEIGHT

LABELS = {
    "binary": LabelSpec("binary", ("roof",)),
    "multiclass": LabelSpec("multiclass", ("ground", "roof", "tree", "car")),
    "multilabel": LabelSpec("multilabel", ("fish", "flower", "gravel")),
}
BINARY = LABELS["binary"]


def test_terms_become_what_they_say():
    g = torch.Generator().manual_seed(0)
    logits, target = torch.randn(2, 1, 6, 5, generator=g), (torch.rand(2, 1, 6, 5, generator=g) < 0.5).float()
    batch = {"mask": logits}, {"mask": target}
    loss = build_loss(
        [
            {"name": "bce"},
            {"name": "dice", "weight": 0.5, "from_epoch": 2, "until_epoch": 3, "options": {"smooth": 3.0, "beta": 2}},
            {"name": "focal", "weight": 2, "from_epoch": 2, "ramp_epochs": 2, "until_epoch": None, "options": None},
        ],
        BINARY,
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
    loss = build_loss(spec, BINARY, outputs=["deep_1", "deep_2"])
    loss.set_epoch(2)
    value, terms = loss(outputs, targets)
    assert list(terms) == ["bce", "dice", "deep_1_bce", "deep_1_dice", "deep_2_bce", "deep_2_dice"]
    wanted = sum(
        coefficient
        * (0.5 * BCEWithLogitsLoss()(outputs[name], targets["mask"]) + DiceLoss()(outputs[name], targets["mask"]))
        for name, coefficient in (("mask", 1), ("deep_1", 0.4), ("deep_2", 0.4))
    )
    torch.testing.assert_close(value, wanted)
    own = build_loss(
        [*spec, {"name": "focal", "weight": 0.1, "output": "deep_2"}], BINARY, outputs=["deep_1", "deep_2"]
    )
    assert list(own(outputs, targets)[1]) == ["bce", "deep_2_focal", "deep_1_bce"]


def test_a_term_may_be_of_several_outputs():
    """PaddleSeg's ``coef: [1, 0.4, 0.2]``, term by term; what is named nowhere gets the mask's terms as ever."""
    g = torch.Generator().manual_seed(2)
    names = ("mask", "deep_1", "deep_2")
    outputs = dict(zip(names, torch.randn(3, 2, 1, 6, 5, generator=g), strict=True))
    targets = {"mask": (torch.rand(2, 1, 6, 5, generator=g) > 0.6).float()}
    spec = [
        {"name": "bce", "weight": 0.5, "outputs": {"mask": 1, "deep_1": 0.4, "deep_2": 0.2}},
        {"name": "dice", "from_epoch": 2, "options": {"smooth": 3}, "outputs": {"deep_1": 2}},
    ]
    loss = build_loss(spec, BINARY, outputs=["deep_1", "deep_2"])
    assert list(loss(outputs, targets)[1]) == ["bce", "deep_1_bce", "deep_2_bce"]
    loss.set_epoch(2)
    value, terms = loss(outputs, targets)
    assert list(terms) == ["bce", "deep_1_bce", "deep_2_bce", "deep_1_dice"]
    shares = {"mask": 0.5, "deep_1": 0.2, "deep_2": 0.1}
    bce = sum(
        share * torch.nn.functional.binary_cross_entropy_with_logits(outputs[name], targets["mask"])
        for name, share in shares.items()
    )
    torch.testing.assert_close(value, bce + 2 * DiceLoss(smooth=3.0)(outputs["deep_1"], targets["mask"]))
    two = build_loss([{"name": "bce", "outputs": {"mask": 1, "deep_1": 0.4}}], BINARY, outputs=["deep_1", "deep_2"])
    assert list(two(outputs, targets)[1]) == ["bce", "deep_1_bce", "deep_2_bce"]


@pytest.mark.parametrize("task", LABELS)
def test_presence_has_a_term_of_its_own(task):
    """Several classes can be in one image, also where each pixel has one only."""
    labels, g = LABELS[task], torch.Generator().manual_seed(2)
    channels = labels.channels
    outputs = {"mask": torch.randn(2, channels, 6, 5, generator=g), "presence": torch.randn(2, channels, generator=g)}
    values = torch.randint(0, channels, (2, 6, 5), generator=g)
    mask = values if task == "multiclass" else (torch.rand(2, channels, 6, 5, generator=g) < 0.3).float()
    targets = {"mask": mask, "presence": torch.ones(2, channels)}
    loss = build_loss(default_loss(labels), labels, outputs=["presence"])
    value, terms = loss(outputs, targets)
    wanted = F.binary_cross_entropy_with_logits(outputs["presence"], targets["presence"])
    torch.testing.assert_close(terms["presence_bce"], wanted)
    plain = build_loss(default_loss(labels), labels)(outputs, targets)[0]
    torch.testing.assert_close(value, plain + PRESENCE_WEIGHT * wanted)
    own = [*default_loss(labels), {"name": "focal", "output": "presence", "weight": 0.5}]
    assert list(build_loss(own, labels, outputs=["presence"])(outputs, targets)[1])[2:] == ["presence_focal"]


def test_a_loss_from_outside_the_package():
    labels = LABELS["multilabel"]
    loss = build_loss([{"name": "tests.losses.test_build:Ones", "options": {"factor": 3.0}}], labels)
    value, terms = loss({"mask": torch.zeros(1, 3, 2, 3)}, {"mask": torch.zeros(1, 3, 2, 3)})
    assert (value, list(terms)) == (54, ["Ones"])


class Ones(SegmentationLoss):
    tasks = ("multilabel",)

    def __init__(self, task, factor: float = 1.0) -> None:
        super().__init__(task)
        self.factor = factor

    def forward(self, logits, target, valid=None, **_):
        return self.factor * torch.ones_like(logits).sum()


class Plain(SegmentationLoss):
    def __init__(self) -> None:
        super().__init__()

    def forward(self, logits, target, valid=None, **_):
        return (self.probabilities(logits) - target).abs().mean()


def test_a_loss_is_for_binary_tasks_unless_told():
    assert Plain().task == "binary"
    assert Plain()(torch.full((1, 1, 2, 2), -50.0), torch.ones(1, 1, 2, 2)) == 1


def targets_for(loss, logits, target):
    return {"mask": target, **{name: torch.randn_like(logits) for name in loss.needs}}


def batch_for(labels):
    g = torch.Generator().manual_seed(2)
    logits = torch.randn(2, labels.channels, 12, 11, generator=g, requires_grad=True)
    if labels.task == "multiclass":
        target = torch.randint(0, 4, (2, 3, 3), generator=g)
        target = target.repeat_interleave(4, 1).repeat_interleave(4, 2)[..., :11]
    else:
        target = (torch.rand(2, labels.channels, 12, 11, generator=g) < 0.5).float()
    valid = torch.ones(2, 1, 12, 11, dtype=torch.bool)
    valid[0, :, 3:5] = False
    return logits, target, valid


SERVED = [(name, task) for name, kind in LOSSES.items() for task in kind.tasks]


@pytest.mark.parametrize(("name", "task"), SERVED)
def test_every_loss_trains_its_tasks(name, task):
    logits, target, valid = batch_for(LABELS[task])
    loss = build_loss([{"name": name}], LABELS[task])
    value, terms = loss({"mask": logits}, targets_for(loss, logits, target), valid)
    value.backward()
    assert value.isfinite()
    norms = logits.grad.flatten(2).norm(dim=2)
    assert norms.max() > 0
    assert LABELS[task].exclusive or (norms > 0).all()  # every class by itself
    assert not logits.grad[0, :, 3:5].any()
    assert list(terms) == [name]


@pytest.mark.parametrize(("name", "task"), SERVED)
def test_mixed_precision_computes_in_float32(name, task):
    logits, target, valid = batch_for(LABELS[task])
    half = logits.detach().bfloat16()
    loss = build_loss([{"name": name}], LABELS[task])
    targets = targets_for(loss, logits, target)
    with torch.autocast("cpu", torch.bfloat16):
        found, _ = loss({"mask": half}, targets, valid)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, loss({"mask": half.float()}, targets, valid)[0], rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_says_which_tasks_it_serves(name):
    for labels in LABELS.values():
        if labels.task not in LOSSES[name].tasks:
            with pytest.raises(ValueError, match=rf"loss {name}: this loss is for .* and the task is {labels.task}; t"):
                build_loss([{"name": name}], labels)


def test_the_default_follows_from_the_task():
    binary = [{"name": "bce", "weight": 0.8}, {"name": "dice", "weight": 0.2}]
    assert default_loss(LABELS["binary"]) == default_loss(LABELS["multilabel"]) == binary
    assert [term["name"] for term in default_loss(LABELS["multiclass"])] == ["cross_entropy", "dice"]
    for labels in LABELS.values():
        logits, target, valid = batch_for(labels)
        assert build_loss(default_loss(labels), labels)({"mask": logits}, {"mask": target}, valid)[0].isfinite()


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
        ([{"name": "dice", "options": {"squared": True, "beta": 0.5}}], "loss dice: beta is 0.5 and squared is true"),
        ([{"name": "dice", "options": {"per_image": "yes"}}], "per_image of dice is 'yes'"),
        ([{"name": "dice", "options": [1]}], "options of dice"),
        ([{"name": "dice", "options": {"task": "multilabel"}}], "unknown option of dice 'task'"),
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
        (
            [{"name": "dice", "outputs": {}}],
            r"the loss term dice has outputs {}: expected a share .* \{mask: 1, deep_1",
        ),
        ([{"name": "dice", "outputs": ["deep_1"]}], r"has outputs \['deep_1'\]"),
        ([{"name": "dice", "outputs": {"mask": 1}, "output": "mask"}], "and no output beside it"),
        ([{"name": "dice", "outputs": {"deep_1": -0.4}}], "share of deep_1 in dice is -0.4"),
        ([{"name": "dice", "outputs": {"deep_1": 1}, "weight": "1e-3"}], r"1\.0e-3 as a number"),
        ([{"name": "dice", "outputs": {"mask": 1}, "wieght": 1}], "did you mean weight"),
    ],
)
def test_bad_specs(spec, message):
    with pytest.raises(ValueError, match=message):
        build_loss(spec, BINARY)
