"""Mixtures: what is added up, when, and what the log sees."""

import pytest
import torch
from torch import Tensor

from maskfold.losses import BCEWithLogitsLoss, DiceLoss, MixedLoss, Term
from maskfold.losses._common import SegmentationLoss


class Constant(SegmentationLoss):
    """Counts its calls, so that a loss that should rest is seen to rest."""

    def __init__(self, value: float) -> None:
        super().__init__("binary")
        self.value, self.calls = value, 0

    def forward(self, logits: Tensor, target: Tensor, valid: Tensor | None = None, **extras: object) -> Tensor:
        self.calls += 1
        return self.value + 0 * logits.sum()


class NeedsDistance(SegmentationLoss):
    needs = frozenset({"distance"})

    def forward(
        self, logits: Tensor, target: Tensor, valid: Tensor | None, distance: Tensor, **extras: object
    ) -> Tensor:
        return (logits * distance).mean()


@pytest.fixture
def batch():
    g = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 1, 5, 4, generator=g, requires_grad=True)
    return logits, (torch.rand(2, 1, 5, 4, generator=g) < 0.4).float()


def test_weighted_sum_and_its_gradient(batch):
    logits, target = batch
    bce, dice = BCEWithLogitsLoss(), DiceLoss()
    mixture = MixedLoss([Term("bce", bce, 0.8), Term("dice", dice, 0.2)])
    value = mixture(logits, target)
    wanted = 0.8 * bce(logits, target) + 0.2 * dice(logits, target)
    torch.testing.assert_close(value, wanted)
    torch.testing.assert_close(torch.autograd.grad(value, logits), torch.autograd.grad(wanted, logits))
    assert mixture.terms == {"bce": bce(logits, target), "dice": dice(logits, target)}
    assert not any(term.requires_grad for term in mixture.terms.values())


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
        found[epoch] = mixture(*batch).item()
        assert set(mixture.terms) == {
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
        weights.append(mixture(*batch).item())
    assert weights == [0, 0, 2, 4, 5, 6, 8, 8, 8]
    assert mixture.terms["b"] == 1  # the log has the loss itself, not its weight


def test_repeated_names(batch):
    mixture = MixedLoss([Term("dice", Constant(1.0)), Term("bce", Constant(2.0)), Term("dice", Constant(3.0))])
    mixture(*batch)
    assert {key: value.item() for key, value in mixture.terms.items()} == {"dice": 1, "bce": 2, "dice_2": 3}


def test_several_outputs(batch):
    logits, target = batch
    other = (2 * logits).detach()
    mixture = MixedLoss([Term("bce", BCEWithLogitsLoss()), Term("dice", DiceLoss(), 0.4, output=1)])
    for outputs in ([logits, other], (logits, other)):
        wanted = BCEWithLogitsLoss()(logits, target) + 0.4 * DiceLoss()(other, target)
        torch.testing.assert_close(mixture(outputs, target), wanted)
    for outputs in (logits, [logits], [logits, other, other]):
        with pytest.raises(ValueError, match="outputs"):
            mixture(outputs, target)


def test_extras(batch):
    mixture = MixedLoss([Term("bce", BCEWithLogitsLoss()), Term("far", NeedsDistance("binary"), from_epoch=2)])
    assert mixture.needs == {"distance"}
    logits, target = batch
    with pytest.raises(ValueError, match="lacks distance"):
        mixture(logits, target)
    distance = torch.rand(2, 1, 5, 4)
    mixture.set_epoch(2)
    mixture(logits, target, distance=distance, something="else")
    torch.testing.assert_close(mixture.terms["far"], (logits * distance).mean().detach())


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
    with pytest.raises(ValueError, match=message):
        MixedLoss(terms)


def test_epochs_count_from_one():
    with pytest.raises(ValueError, match="epoch is 0"):
        MixedLoss([Term("a", Constant(1.0))]).set_epoch(0)
