"""Mixtures: what is added up, when, and what the log sees."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from maskfold.errors import ConfigError
from maskfold.losses import BCEWithLogitsLoss, DiceLoss, MixedLoss, Term
from maskfold.losses._common import SegmentationLoss


class Constant(SegmentationLoss):
    """Counts its calls, so that a loss that should rest is seen to rest."""

    def __init__(self, value: float) -> None:
        super().__init__("binary")
        self.value, self.calls = value, 0

    def forward(self, logits: Tensor, target: Tensor, **_: object) -> Tensor:
        self.calls += 1
        return self.value + 0 * logits.sum()


class NeedsDistance(SegmentationLoss):
    needs = frozenset({"distance"})

    def forward(self, logits: Tensor, target: Tensor, distance: Tensor, **_: object) -> Tensor:
        return (logits * distance).mean()


@pytest.fixture
def batch():
    """(outputs, targets): the mask, another output and another target."""
    g = torch.Generator().manual_seed(0)
    outputs = {name: torch.randn(2, 1, 5, 4, generator=g, requires_grad=True) for name in ("mask", "edge")}
    targets = {name: (torch.rand(2, 1, 5, 4, generator=g) < 0.4).float() for name in ("mask", "outline")}
    return outputs, targets


def test_weighted_sum_and_its_gradient(batch):
    (outputs, targets), bce, dice = batch, BCEWithLogitsLoss(), DiceLoss()
    mixture = MixedLoss([Term("bce", bce, 0.8), Term("dice", dice, 0.2)])
    value, terms = mixture(outputs, targets)
    logits, target = outputs["mask"], targets["mask"]
    wanted = 0.8 * bce(logits, target) + 0.2 * dice(logits, target)
    torch.testing.assert_close(value, wanted)
    torch.testing.assert_close(torch.autograd.grad(value, logits), torch.autograd.grad(wanted, logits))
    assert terms == {"bce": bce(logits, target), "dice": dice(logits, target)}
    assert not any(term.requires_grad for term in terms.values())


def test_a_term_rests_outside_its_epochs(batch):
    first, second, always = Constant(1.0), Constant(10.0), Constant(100.0)
    mixture = MixedLoss(
        [
            Term("first", first, until_epoch=3),
            Term("second", second, from_epoch=3, until_epoch=4),
            Term("always", always, weight=0.5),
        ]
    )
    found = {}
    for epoch in (1, 2, 3, 3.75, 4, 4.99, 5):
        mixture.set_epoch(epoch)
        value, terms = mixture(*batch)
        found[epoch] = value.item()
        assert set(terms) == {
            "always",
            *(["first"] if epoch < 4 else []),
            *(["second"] if 3 <= epoch < 5 else []),
        }
    assert found == {1: 51, 2: 51, 3: 61, 3.75: 61, 4: 60, 4.99: 60, 5: 50}
    assert (first.calls, second.calls, always.calls) == (4, 4, 7)


def test_ramp(batch):
    mixture = MixedLoss([Term("a", Constant(0.0)), Term("b", Constant(1.0), 8.0, from_epoch=3, ramp_epochs=4)])
    weights = []
    for epoch in (1, 2, 3, 4, 4.5, 5, 6, 7, 100):
        mixture.set_epoch(epoch)
        value, terms = mixture(*batch)
        weights.append(value.item())
    assert weights == [0, 0, 2, 4, 5, 6, 8, 8, 8]
    assert terms["b"] == 1  # the log has the loss itself, not its weight


def test_repeated_names(batch):
    mixture = MixedLoss([Term("dice", Constant(1.0)), Term("bce", Constant(2.0)), Term("dice", Constant(3.0))])
    _, terms = mixture(*batch)
    assert {key: value.item() for key, value in terms.items()} == {"dice": 1, "bce": 2, "dice_2": 3}


def test_outputs_and_targets_have_names(batch):
    outputs, targets = batch
    mixture = MixedLoss(
        [
            Term("bce", BCEWithLogitsLoss()),
            Term("dice", DiceLoss(), 0.4, output="edge", target="outline"),
            Term("dice", DiceLoss(), 0.1, output="edge"),
        ]
    )
    value, terms = mixture(outputs, targets)
    assert list(terms) == ["bce", "edge_dice", "edge_dice_2"]
    wanted = (
        BCEWithLogitsLoss()(outputs["mask"], targets["mask"])
        + 0.4 * DiceLoss()(outputs["edge"], targets["outline"])
        + 0.1 * DiceLoss()(outputs["edge"], targets["mask"])
    )
    torch.testing.assert_close(value, wanted)
    with pytest.raises(ConfigError, match="term dice is of the output edge: there are mask"):
        mixture({"mask": outputs["mask"]}, targets)
    with pytest.raises(ConfigError, match="term dice is of the target outline: there are mask"):
        mixture(outputs, {"mask": targets["mask"]})


def test_valid_reaches_the_losses(batch):
    class Counts(SegmentationLoss):
        def forward(self, logits, target, valid=None, **_):
            return valid.sum().float()

    valid = torch.zeros(2, 1, 5, 4, dtype=torch.bool)
    valid[1, 0, 2] = True
    assert MixedLoss([Term("counts", Counts("binary"))])(*batch, valid)[0] == 4


def test_what_a_loss_needs_beside_its_target(batch):
    outputs, targets = batch
    mixture = MixedLoss([Term("bce", BCEWithLogitsLoss()), Term("far", NeedsDistance("binary"), from_epoch=2)])
    assert mixture.needs == {"distance"}
    mixture(outputs, targets)
    mixture.set_epoch(2)
    with pytest.raises(ConfigError, match="term far is of the target distance: there are mask, outline"):
        mixture(outputs, targets)
    distance = torch.rand(2, 1, 5, 4)
    _, terms = mixture(outputs, {**targets, "distance": distance, "something": torch.ones(1)})
    torch.testing.assert_close(terms["far"], (outputs["mask"] * distance).mean().detach())


@pytest.mark.parametrize(
    ("terms", "message"),
    [
        ([], "no terms"),
        ([Term("a", Constant(1.0), until_epoch=3), Term("b", Constant(1.0), from_epoch=5)], "epoch 4"),
        ([Term("a", Constant(1.0), from_epoch=2)], "epoch 1"),
        ([Term("a", Constant(1.0), until_epoch=9)], "epoch 10"),
        ([Term("a", Constant(1.0), weight=0.0)], "epoch 1"),
    ],
)
def test_schedules_with_gaps_are_refused(terms, message):
    with pytest.raises(ConfigError, match=message):
        MixedLoss(terms)


def test_terms_that_would_never_be_used_are_named():
    mixture = MixedLoss([Term("a", Constant(1.0)), Term("b", Constant(1.0), from_epoch=5), Term("c", Constant(2.0))])
    mixture.check_length(5)
    with pytest.raises(ConfigError, match=r"never be used: b \(from_epoch 5\); training has 4 epochs"):
        mixture.check_length(4)


def test_epochs_count_from_one():
    with pytest.raises(ValueError, match="epoch is 0"):
        MixedLoss([Term("a", Constant(1.0))]).set_epoch(0)


def test_what_is_of_whole_images_is_compared_image_by_image():
    """Logits (N, C), class by class; an image of which no pixel counts is left out."""
    logits = torch.tensor([[0.3, -1.2], [2.0, 0.1], [-0.4, 1.5]], requires_grad=True)
    target = torch.tensor([[1.0, 0.0], [0.0, 0.0], [0.0, 1.0]])
    valid = torch.zeros(3, 1, 5, 4, dtype=torch.bool)
    valid[0] = True
    valid[2, 0, 3, 1] = True
    masks = torch.zeros(3, 2, 5, 4)
    terms = [Term("bce", BCEWithLogitsLoss("multilabel"), 0.5, output="presence", target="presence"),
             Term("dice", DiceLoss("multilabel"))]  # fmt: skip
    mixture = MixedLoss(terms)
    assert mixture.needs == {"presence"}
    total, found = mixture({"mask": masks, "presence": logits}, {"mask": masks, "presence": target}, valid)
    wanted = F.binary_cross_entropy_with_logits(logits[[0, 2]], target[[0, 2]])
    torch.testing.assert_close(found["presence_bce"], wanted.detach())
    torch.testing.assert_close(total, 0.5 * wanted + found["dice"])
    (gradient,) = torch.autograd.grad(total, logits)
    assert (gradient[1] == 0).all()
    assert (gradient[[0, 2]] != 0).all()
    everything = mixture({"mask": masks, "presence": logits}, {"mask": masks, "presence": target})[1]["presence_bce"]
    torch.testing.assert_close(everything, F.binary_cross_entropy_with_logits(logits, target).detach())
    none = torch.zeros_like(valid)
    assert (
        mixture({"mask": masks, "presence": logits}, {"mask": masks, "presence": target}, none)[1]["presence_bce"] == 0
    )
