"""Dice, Jaccard and Tversky losses against their definitions, image by image and class by class."""

from functools import partial

import pytest
import segmentation_models_pytorch as smp
import torch

from maskfold.losses import DiceLoss, JaccardLoss, TverskyLoss


def mean(values):
    """Of a possibly empty list."""
    return torch.stack(values).mean() if values else None


def by_definition(score, image_pixels, *, per_image=True, classes="present", power=1.0):
    """``1 - score(p, y)`` of flat valid pixels, averaged as said; ``score`` takes 1-D tensors."""

    def loss(logits, target):
        images = [image_pixels(logits, target, n) for n in range(len(logits))]
        if not per_image:
            images = [tuple(torch.cat(part, dim=1) for part in zip(*images, strict=True))]
        per_image_losses = []
        for p, y in images:
            if not p.shape[1]:
                continue
            counted = [
                c
                for c in range(len(p))
                if classes == "all" or image_pixels.keywords["task"] != "multiclass" or y[c].sum() > 0
            ]
            per_image_losses.append(mean([(1 - score(p[c], y[c])) ** power for c in counted]))
        value = mean(per_image_losses)
        return value if value is not None else logits.nan_to_num().sum() * 0

    return loss


@pytest.mark.parametrize("per_image", [True, False])
@pytest.mark.parametrize("classes", ["present", "all"])
def test_dice(any_case, agree, image_pixels, per_image, classes):
    def score(p, y):
        return (2 * (p * y).sum() + 1.5) / (p.sum() + y.sum() + 1.5)

    loss = partial(DiceLoss, smooth=1.5, per_image=per_image, classes=classes)
    agree(loss, by_definition(score, image_pixels, per_image=per_image, classes=classes), any_case)


def test_dice_squared_as_in_vnet(any_case, agree, image_pixels):
    def score(p, y):
        return (2 * (p * y).sum() + 1) / ((p**2).sum() + (y**2).sum() + 1)

    agree(partial(DiceLoss, squared=True), by_definition(score, image_pixels), any_case)


@pytest.mark.parametrize("beta", [0.5, 2.0])
def test_dice_beta(any_case, agree, image_pixels, beta):
    def score(p, y):
        """F-beta of soft precision and recall, cleared of fractions."""
        tp = (p * y).sum()
        fp, fn = (p * (1 - y)).sum(), ((1 - p) * y).sum()
        return ((1 + beta**2) * tp + 1) / ((1 + beta**2) * tp + beta**2 * fn + fp + 1)

    agree(partial(DiceLoss, beta=beta), by_definition(score, image_pixels), any_case)


def test_beta_above_one_favours_recall():
    target = torch.tensor([1.0, 1, 0, 0]).view(1, 1, 2, 2)
    missing = torch.tensor([9.0, -9, -9, -9]).view(1, 1, 2, 2)
    extra = torch.tensor([9.0, 9, 9, -9]).view(1, 1, 2, 2)
    recall, precision = DiceLoss(beta=2.0, smooth=0.0), DiceLoss(beta=0.5, smooth=0.0)
    assert recall(missing, target) > recall(extra, target)
    # Precision 2/3, recall 1: F0.5 = 1.25 * 2/3 / (0.25 * 2/3 + 1) = 5/7.
    assert precision(extra, target).item() == pytest.approx(1 - 5 / 7, abs=1e-3)


@pytest.mark.parametrize("per_image", [True, False])
def test_jaccard(any_case, agree, image_pixels, per_image):
    def score(p, y):
        tp = (p * y).sum()
        return (tp + 0.7) / (p.sum() + y.sum() - tp + 0.7)

    loss = partial(JaccardLoss, smooth=0.7, per_image=per_image)
    agree(loss, by_definition(score, image_pixels, per_image=per_image), any_case)


@pytest.mark.parametrize(("gamma", "per_image"), [(1.0, True), (1.0, False), (2.0, True), (0.75, True)])
def test_tversky(any_case, agree, image_pixels, gamma, per_image):
    def score(p, y):
        tp, fp, fn = (p * y).sum(), (p * (1 - y)).sum(), ((1 - p) * y).sum()
        return (tp + 1) / (tp + 0.3 * fp + 0.7 * fn + 1)

    loss = partial(TverskyLoss, alpha=0.3, beta=0.7, gamma=gamma, per_image=per_image)
    agree(loss, by_definition(score, image_pixels, per_image=per_image, power=gamma), any_case)


def test_tversky_alpha_is_of_false_positives():
    target = torch.tensor([1.0, 1, 0, 0]).view(1, 1, 2, 2)
    extra = torch.tensor([99.0, 99, 99, -99]).view(1, 1, 2, 2)
    assert TverskyLoss(alpha=0.0, beta=1.0)(extra, target) == 0
    assert TverskyLoss(alpha=1.0, beta=0.0, smooth=0.0)(extra, target).item() == pytest.approx(1 / 3)


def test_tversky_is_dice_and_jaccard():
    torch.manual_seed(1)
    logits, target = torch.randn(2, 1, 6, 5), torch.rand(2, 1, 6, 5)
    torch.testing.assert_close(
        TverskyLoss(alpha=0.5, beta=0.5, smooth=1.0)(logits, target), DiceLoss(smooth=2.0)(logits, target)
    )
    torch.testing.assert_close(TverskyLoss(alpha=1.0, beta=1.0)(logits, target), JaccardLoss()(logits, target))


@pytest.mark.parametrize("gamma", [0.75, 0.3, 2.0])
def test_focal_tversky_of_a_perfect_prediction(gamma):
    logits = torch.tensor([200.0, -200.0]).view(1, 1, 1, 2).requires_grad_()
    loss = TverskyLoss(gamma=gamma)(logits, torch.tensor([1.0, 0]).view(1, 1, 1, 2))
    loss.backward()
    assert loss == 0
    assert logits.grad.isfinite().all()


@pytest.mark.parametrize("gamma", [0.5, 2.0])
def test_focal_tversky_of_a_good_prediction(gamma):
    """1 of 401 pixels is wrong by half: the power holds far below the losses of drawn logits."""
    logits = torch.full((1, 1, 1, 401), 300.0)
    logits[..., 7] = 0
    loss = TverskyLoss(gamma=gamma, smooth=0.0)(logits, torch.ones(1, 1, 1, 401))
    assert loss.item() == pytest.approx((0.25 / 400.75) ** gamma, rel=1e-4)


@pytest.mark.parametrize("depth", [-200.0, -90.0, -40.0, 5.0])
@pytest.mark.parametrize("kind", [DiceLoss, JaccardLoss, TverskyLoss])
def test_empty_mask_without_smoothing(kind, depth):
    logits = torch.full((2, 1, 4, 4), depth, requires_grad=True)
    loss = kind(smooth=0.0)(logits, torch.zeros(2, 1, 4, 4))
    loss.backward()
    assert 0 <= loss.item() <= 1 + 1e-6
    assert logits.grad.isfinite().all()
    if depth > 0:
        assert loss.item() == pytest.approx(1)


def test_absent_class_leaves_the_mean_or_counts():
    """smp counts an absent class as 0: 3/4 of the mean over the three that are there."""
    torch.manual_seed(2)
    logits, target = torch.randn(1, 4, 8, 8), torch.randint(0, 3, (1, 8, 8))
    ours = DiceLoss("multiclass", smooth=0.0, per_image=False)(logits, target)
    theirs = smp.losses.DiceLoss("multiclass", smooth=0.0)(logits, target)
    assert theirs.item() == pytest.approx(0.75 * ours.item(), rel=1e-5)
    everything = DiceLoss("multiclass", smooth=0.0, per_image=False, classes="all")(logits, target)
    assert everything.item() == pytest.approx(0.75 * ours.item() + 0.25, rel=1e-5)


def test_a_class_with_a_small_share_is_present():
    """Of soft labels: class 2 has 0.3 of one pixel, class 3 nothing."""
    target = torch.zeros(1, 4, 2, 3)
    target[0, 0], target[0, 1, 1] = 1, 1
    target[0, 0, 1] = 0
    target[0, :3, 1, 2] = torch.tensor([0.0, 0.7, 0.3])
    logits = torch.randn(1, 4, 2, 3, generator=torch.Generator().manual_seed(6))
    p, y = logits[0].softmax(0).flatten(1).double(), target[0].flatten(1).double()
    ratios = 1 - (2 * (p * y).sum(1) + 1) / (p.sum(1) + y.sum(1) + 1)
    assert DiceLoss("multiclass")(logits, target).item() == pytest.approx(ratios[:3].mean().item(), rel=1e-5)


@pytest.mark.parametrize("problem", ["binary", "multiclass"])
def test_published_losses_where_they_mean_the_same(problem):
    """segmentation_models_pytorch: batch-level, hard labels, every class present, its smooth doubled."""
    torch.manual_seed(3)
    if problem == "binary":
        logits, target = torch.randn(3, 1, 8, 8), (torch.rand(3, 1, 8, 8) < 0.4).float()
    else:
        logits, target = torch.randn(3, 4, 8, 8), torch.randint(0, 4, (3, 8, 8))
    theirs = smp.losses.DiceLoss(problem, smooth=0.5)(logits, target)
    torch.testing.assert_close(DiceLoss(problem, smooth=1.0, per_image=False)(logits, target), theirs)
    theirs = smp.losses.TverskyLoss(problem, alpha=0.3, beta=0.7, smooth=0.5, gamma=1.0)(logits, target)
    torch.testing.assert_close(
        TverskyLoss(problem, alpha=0.3, beta=0.7, smooth=0.5, per_image=False)(logits, target), theirs
    )
    theirs = smp.losses.JaccardLoss(problem, smooth=0.5)(logits, target)
    torch.testing.assert_close(JaccardLoss(problem, smooth=0.5, per_image=False)(logits, target), theirs)


@pytest.mark.parametrize(
    "kind",
    [
        DiceLoss,
        partial(DiceLoss, squared=True, per_image=False),
        JaccardLoss,
        partial(TverskyLoss, alpha=0.3, beta=0.7, gamma=2.0),
        partial(TverskyLoss, gamma=0.75),
    ],
    ids=repr,
)
@pytest.mark.parametrize(("task", "channels"), [("binary", 1), ("multiclass", 3), ("multilabel", 2)])
def test_gradcheck(kind, task, channels):
    torch.manual_seed(4)
    logits = torch.randn(2, channels, 3, 4, dtype=torch.float64, requires_grad=True)
    target = torch.rand(2, channels, 3, 4, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda x: kind(task)(x, target), logits)


def test_an_absent_class_of_a_multilabel_task_counts():
    """Nothing is there and nothing was found: the class's loss is small, where an exclusive one would leave."""
    logits, target = torch.full((1, 2, 4, 4), -9.0), torch.zeros(1, 2, 4, 4)
    logits[:, 0], target[:, 0, :2] = 9.0, 1
    found = DiceLoss("multilabel", smooth=1e-6)(logits, target).item()
    assert found == pytest.approx((1 - 16 / 24 + 1) / 2, rel=1e-2)
    assert DiceLoss("multiclass", smooth=1e-6)(logits, target).item() == pytest.approx(1 - 16 / 24, rel=1e-2)


@pytest.mark.parametrize("options", [{"smooth": -1}, {"classes": "here"}, {"smooth": "1"}, {"beta": float("nan")}])
def test_bad_options(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        DiceLoss(**options)


@pytest.mark.parametrize("beta", [0.5, 2])
def test_sums_of_squares_have_no_beta(beta):
    """Below 1 the loss would be negative, and smallest at p = beta; above 1 the same of soft labels."""
    with pytest.raises(ValueError, match=f"beta is {beta} and squared is true"):
        DiceLoss(squared=True, beta=beta)
