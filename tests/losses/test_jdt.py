"""JML, DML and CTL against the L1-norm definitions, and the properties they exist for."""

from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from maskfold.losses import (
    CompatibleTverskyLoss,
    DiceLoss,
    DiceSemimetricLoss,
    JaccardLoss,
    JaccardMetricLoss,
    TverskyLoss,
)

SMOOTH = 0.01


def jml(p, y):
    p1, y1, d = p.abs().sum(), y.abs().sum(), (p - y).abs().sum()
    return 1 - ((p1 + y1 - d) / 2 + SMOOTH) / ((p1 + y1 + d) / 2 + SMOOTH)


def dml(p, y):
    p1, y1, d = p.abs().sum(), y.abs().sum(), (p - y).abs().sum()
    return 1 - (p1 + y1 - d + SMOOTH) / (p1 + y1 + SMOOTH)


def ctl(p, y):
    p1, y1, d = p.abs().sum(), y.abs().sum(), (p - y).abs().sum()
    both, only_p, only_y = (p1 + y1 - d) / 2, (p1 - y1 + d) / 2, (y1 - p1 + d) / 2
    return 1 - (both + SMOOTH) / (both + 0.3 * only_p + 0.6 * only_y + SMOOTH)


KINDS = {
    "jml": (JaccardMetricLoss, {}, jml),
    "dml": (DiceSemimetricLoss, {}, dml),
    "ctl": (CompatibleTverskyLoss, {"alpha": 0.3, "beta": 0.6}, ctl),
}


def mean(values):
    return torch.stack(values).mean()


def by_definition(loss, image_pixels, aggregation, classes):
    def value(logits, target):
        images = [image_pixels(logits, target, n) for n in range(len(logits))]
        images = [(p, y) for p, y in images if p.shape[1]]
        if not images:
            return logits.nan_to_num().sum() * 0

        def counts(y, c):
            return classes == "all" or image_pixels.keywords["task"] != "multiclass" or bool((y[c] > 0).any())

        channels = range(logits.shape[1])
        if aggregation == "D":
            p, y = (torch.cat(part, dim=1) for part in zip(*images, strict=True))
            return mean([loss(p[c], y[c]) for c in channels if counts(y, c)])
        if aggregation == "I":
            return mean([mean([loss(p[c], y[c]) for c in channels if counts(y, c)]) for p, y in images])
        per_class = [[loss(p[c], y[c]) for p, y in images if counts(y, c)] for c in channels]
        return mean([mean(values) for values in per_class if values])

    return value


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("aggregation", ["D", "I", "C"])
def test_value_and_gradient(any_case, agree, image_pixels, kind, aggregation):
    make, options, formula = KINDS[kind]
    for classes in ("present", "all"):
        loss = partial(make, smooth=SMOOTH, aggregation=aggregation, classes=classes, **options)
        agree(loss, by_definition(formula, image_pixels, aggregation, classes), any_case)


def logit(p):
    return torch.log(p / (1 - p))


images = st.lists(st.floats(0.001, 0.999), min_size=3, max_size=12)


@settings(deadline=None, max_examples=60)
@given(images, st.sampled_from(sorted(KINDS)))
def test_zero_exactly_at_the_soft_label(values, kind):
    make, options, _ = KINDS[kind]
    x = logit(torch.tensor(values, dtype=torch.float64)).view(1, 1, 1, -1)
    loss = make(smooth=0.0, **options)
    assert loss(x, x.sigmoid()) == 0
    other = x.clone()
    other[..., 1] += 0.5
    assert loss(other, x.sigmoid()) > 1e-7
    assert loss(x, other.sigmoid()) > 1e-7


def test_inner_products_are_not_zero_at_the_soft_label():
    x = logit(torch.tensor([0.2, 0.5, 0.7, 0.9])).view(1, 1, 2, 2)
    assert DiceLoss(smooth=0.0)(x, x.sigmoid()) > 0.2
    assert DiceLoss(smooth=0.0)(x + 3, x.sigmoid()) < DiceLoss(smooth=0.0)(x, x.sigmoid())


def test_multiclass_is_zero_at_the_soft_label():
    logits = torch.randn(3, 5, 4, 4, generator=torch.Generator().manual_seed(1))
    for make, options, _ in KINDS.values():
        for aggregation in "DIC":
            assert make("multiclass", smooth=0.0, aggregation=aggregation, **options)(logits, logits.softmax(1)) == 0


@pytest.mark.parametrize("channels", [1, 4])
def test_hard_labels_give_the_inner_product_forms(channels):
    g = torch.Generator().manual_seed(2)
    logits = torch.randn(3, channels, 6, 5, generator=g)
    target = torch.randint(0, max(2, channels), (3, 6, 5), generator=g)
    target = target[:, None] if channels == 1 else target
    task = "binary" if channels == 1 else "multiclass"
    for ours, usual in [
        (JaccardMetricLoss(task, smooth=1.0), JaccardLoss(task, smooth=1.0)),
        (DiceSemimetricLoss(task, smooth=1.0), DiceLoss(task, smooth=1.0)),
        (CompatibleTverskyLoss(task, 0.3, 0.6, smooth=1.0), TverskyLoss(task, 0.3, 0.6, smooth=1.0)),
    ]:
        torch.testing.assert_close(ours(logits, target), usual(logits, target))


@settings(deadline=None, max_examples=100)
@given(st.integers(0, 10**6), st.floats(0.1, 6))
def test_jml_is_a_metric(seed, scale):
    a, b, c = scale * torch.randn(3, 1, 1, 2, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))

    def distance(x, y):
        return JaccardMetricLoss(smooth=0.0)(x, y.sigmoid()).item()

    assert distance(a, b) == pytest.approx(distance(b, a))
    assert distance(a, c) <= distance(a, b) + distance(b, c) + 1e-12


def test_dml_is_no_metric():
    """The way from one pixel to the other is shorter by both of them: the name says semimetric."""
    masks = [0.99, 0.01], [0.99, 0.99], [0.01, 0.99]
    a, b, c = (torch.tensor(mask, dtype=torch.float64).view(1, 1, 1, 2) for mask in masks)
    dice = DiceSemimetricLoss(smooth=0.0)
    assert dice(logit(a), c) > dice(logit(a), b) + dice(logit(b), c)


@pytest.mark.parametrize("aggregation", ["D", "I", "C"])
@pytest.mark.parametrize("kind", KINDS)
def test_one_logit_network_learns(kind, aggregation):
    make, options, _ = KINDS[kind]
    g = torch.Generator().manual_seed(3)
    image, target = torch.rand(2, 3, 8, 8, generator=g), (torch.rand(2, 1, 8, 8, generator=g) < 0.4).float()
    network = torch.nn.Conv2d(3, 1, 1)
    make(aggregation=aggregation, **options)(network(image), target).backward()
    assert network.weight.grad.norm() > 1e-4


def test_present_is_the_same_for_hard_and_soft_labels():
    g = torch.Generator().manual_seed(4)
    logits, classes = torch.randn(2, 5, 6, 6, generator=g), torch.randint(0, 3, (2, 6, 6), generator=g)
    one_hot = torch.nn.functional.one_hot(classes, 5).permute(0, 3, 1, 2).float()
    for aggregation in "DIC":
        loss = JaccardMetricLoss("multiclass", aggregation=aggregation)
        torch.testing.assert_close(loss(logits, classes), loss(logits, one_hot))
        assert loss(logits, classes) < JaccardMetricLoss("multiclass", aggregation=aggregation, classes="all")(
            logits, classes
        )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("channels", [1, 3])
def test_gradcheck(kind, channels):
    make, options, _ = KINDS[kind]
    g = torch.Generator().manual_seed(5)
    logits = torch.randn(2, channels, 3, 4, dtype=torch.float64, generator=g, requires_grad=True)
    target = torch.rand(2, channels, 3, 4, dtype=torch.float64, generator=g)
    for aggregation in "DIC":
        loss = make("binary" if channels == 1 else "multiclass", aggregation=aggregation, **options)
        assert torch.autograd.gradcheck(lambda x, loss=loss: loss(x, target), logits)
