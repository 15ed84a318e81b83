"""What the losses aim at where the target is not certain: one pixel of the article, and whole images."""

import pytest
import torch

from maskfold.labels import LabelSpec
from maskfold.losses import LOSSES, build_loss

ROOF = LabelSpec("binary", ("roof",))
JDT = ("jml", "dml", "ctl")
INNER_PRODUCT = ("jaccard", "dice", "tversky")


def loss_of(name: str, labels: LabelSpec):
    options = {"options": {"smooth": 0}} if name in (*JDT, *INNER_PRODUCT) else {}
    return build_loss([{"name": name, **options}], labels)


def best_probability(name: str, share: float) -> float:
    """The probability, on a fine grid, for which the loss of one pixel of this share is smallest."""
    loss = loss_of(name, ROOF)
    grid = torch.linspace(0.001, 0.999, 999)
    values = [
        float(loss({"mask": torch.logit(p).view(1, 1, 1, 1)}, {"mask": torch.full((1, 1, 1, 1), share)}, None)[0])
        for p in grid
    ]
    return float(grid[min(range(len(values)), key=values.__getitem__)])


@pytest.mark.parametrize("share", [0.2, 0.5, 0.85])
@pytest.mark.parametrize("name", JDT)
def test_jdt_losses_aim_at_the_share(name, share):
    assert best_probability(name, share) == pytest.approx(share, abs=1.5e-3)


@pytest.mark.parametrize("share", [0.2, 0.5, 0.85])
@pytest.mark.parametrize("name", INNER_PRODUCT)
def test_inner_products_aim_at_certainty_whatever_the_share(name, share):
    assert best_probability(name, share) > 0.998


@pytest.mark.parametrize("share", [0.2, 0.5, 0.85])
def test_cross_entropy_aims_at_the_share_too(share):
    assert best_probability("bce", share) == pytest.approx(share, abs=1.5e-3)


@pytest.mark.parametrize("name", JDT)
@pytest.mark.parametrize("task", ["binary", "multiclass", "multilabel"])
def test_jdt_losses_are_zero_exactly_at_the_target(name, task):
    labels = LabelSpec(task, ("roof",) if task == "binary" else ("a", "b", "c"))
    generator = torch.Generator().manual_seed(4)
    logits = torch.randn(2, labels.channels, 5, 7, generator=generator, dtype=torch.float64)
    target = labels.activate(logits)
    loss = loss_of(name, labels)
    assert float(loss({"mask": logits}, {"mask": target}, None)[0]) == pytest.approx(0, abs=1e-12)
    moved = logits + 0.3 * torch.randn(logits.shape, generator=generator, dtype=torch.float64)
    assert float(loss({"mask": moved}, {"mask": target}, None)[0]) > 0.01


# What a loss is not for, see docs/losses_metrics.md.
NOT_FOR = {
    ("bce", "multiclass"),
    ("cross_entropy", "binary"),
    ("cross_entropy", "multilabel"),
    ("lovasz_softmax", "multilabel"),
}
TASKS = ("binary", "multiclass", "multilabel")


@pytest.mark.parametrize(("name", "task"), sorted({(n, t) for n in LOSSES for t in TASKS} - NOT_FOR))
def test_every_loss_takes_soft_targets(name, task):
    labels = LabelSpec(task, ("roof",) if task == "binary" else ("a", "b", "c"))
    loss = build_loss([{"name": name}], labels)
    generator = torch.Generator().manual_seed(1)
    logits = torch.randn(2, labels.channels, 9, 8, generator=generator, requires_grad=True)
    target = labels.activate(torch.randn(2, labels.channels, 9, 8, generator=generator))
    targets = {"mask": target, "distance": torch.randn(2, labels.channels, 9, 8, generator=generator)}
    value, _ = loss({"mask": logits}, targets, torch.ones(2, 1, 9, 8, dtype=torch.bool))
    value.backward()
    assert torch.isfinite(value)
    assert logits.grad.abs().sum() > 0
