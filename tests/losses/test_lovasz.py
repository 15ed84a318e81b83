"""Lovász losses against their definition (Jaccard of growing sets) in float64, on the compiled and the torch path."""

import itertools
from functools import partial

import pytest
import torch
from tests.losses.conftest import marked

from maskfold.losses import lovasz
from maskfold.losses.lovasz import LovaszHingeLoss, LovaszSoftmaxLoss, lovasz_weights
from maskfold.losses.lovasz_cpu import lovasz_weights_cpu

PATHS = {"compiled": lovasz_weights_cpu, "torch": lovasz_weights}


@pytest.fixture(params=PATHS, autouse=True)
def path(request, monkeypatch):
    """Every test runs on both paths: float32 on the CPU would take the compiled one only."""
    monkeypatch.setattr(lovasz, "lovasz_weights_cpu", PATHS[request.param])
    return request.param


# The definition, with errors as a 1-D tensor and Jaccard losses |M| / |foreground or M| of growing sets M.


def extension(errors, foreground):
    order = errors.argsort(descending=True)
    wrong = torch.arange(1, len(errors) + 1, dtype=torch.float64)
    union = foreground.sum() + (~foreground[order]).double().cumsum(0)
    jaccard = torch.cat([torch.zeros(1, dtype=torch.float64), wrong / union])
    return (errors[order] * jaccard.diff()).sum()


def mean(values):
    return sum(values) / len(values) if values else torch.zeros((), dtype=torch.float64, requires_grad=True)


def sets(logits, target, ignore_index, per_image):
    """Per image, or once: the pixels that count, logits (C, P) and classes (P)."""
    logits = logits.flatten(2)
    target = target.reshape(len(target), -1)
    if not per_image:
        logits, target = logits.transpose(0, 1).flatten(1).unsqueeze(0), target.reshape(1, -1)
    for x, y in zip(logits, target, strict=True):
        keep = torch.ones_like(y, dtype=torch.bool) if ignore_index is None else y != ignore_index
        if keep.any():
            yield x[:, keep], y[keep]


def hinge_reference(logits, target, per_image=True, ignore_index=None, hinge="relu", symmetric=False, skip_empty=False):
    shape = {"relu": torch.relu, "elu+1": lambda e: torch.where(e > 0, e + 1, e.clamp(max=0).exp())}[hinge]
    halves = []
    for sign in (1, -1) if symmetric else (1,):
        images = []
        for x, y in sets(logits, target, ignore_index, per_image):
            classes = [1] if len(x) == 1 else range(len(x))
            pairs = [(sign * row, (y == c) == (sign == 1)) for row, c in zip(x, classes, strict=True)]
            terms = [
                extension(shape(1 - row * torch.where(fg, 1.0, -1.0)), fg)
                for row, fg in pairs
                if fg.any() or not skip_empty
            ]
            images += [mean(terms)] if terms else []
        halves.append(mean(images))
    return mean(halves)


def softmax_reference(logits, target, classes="present", per_image=False, ignore_index=None):
    images = []
    for x, y in sets(logits, target, ignore_index, per_image):
        p = {1: x.sigmoid()} if len(x) == 1 else dict(enumerate(x.softmax(0)))
        chosen = list(p) if isinstance(classes, str) else classes
        terms = [
            extension(((y == c).double() - p[c].flatten()).abs(), y == c)
            for c in chosen
            if (y == c).any() or classes != "present"
        ]
        images += [mean(terms)] if terms else []
    return mean(images)


def value_and_gradient(loss, logits, target):
    logits = logits.clone(memory_format=torch.preserve_format).requires_grad_()
    value = loss(logits, target)
    value.backward()
    return value.detach(), logits.grad if logits.grad is not None else torch.zeros_like(logits)


def check(loss, reference, logits, target, gradient=True):
    value, grad = value_and_gradient(loss, logits, target)
    expected, expected_grad = value_and_gradient(reference, logits.double(), target)
    assert value.shape == ()
    assert abs(value - expected) <= 1e-5 * abs(expected) + 1e-12
    if gradient:
        assert (grad - expected_grad).norm() <= 1e-4 * expected_grad.norm()


def random(*shape, seed=0, dtype=torch.float32):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def binary(seed=0, share=0.3, shape=(3, 1, 13, 17)):
    target = (random(*shape, seed=seed + 100).sigmoid() < share).float()
    return 2 * random(*shape, seed=seed), target


def multiclass(seed=0, classes=4, shape=(3, 11, 13)):
    generator = torch.Generator().manual_seed(seed)
    target = torch.randint(classes, shape, generator=generator)
    return 2 * random(shape[0], classes, *shape[1:], seed=seed + 1), target


def with_void(target, share=0.2, seed=5):
    void = random(*target.shape, seed=seed).sigmoid() < share
    return torch.where(void, 255, target)


HINGE_OPTIONS = [
    {},
    {"per_image": False},
    {"hinge": "elu+1"},
    {"symmetric": True},
    {"skip_empty": True},
    {"symmetric": True, "hinge": "elu+1", "skip_empty": True, "per_image": False},
]
SOFTMAX_OPTIONS = [{}, {"per_image": True}, {"classes": "all"}, {"classes": [2, 0], "per_image": True}]


@pytest.mark.parametrize("options", HINGE_OPTIONS, ids=str)
@pytest.mark.parametrize("void", [False, True])
@pytest.mark.parametrize("data", [binary, multiclass])
def test_hinge_is_the_definition(data, void, options):
    logits, target = data()
    target[1] = 0  # an empty mask; three classes absent
    target = with_void(target) if void else target
    loss = LovaszHingeLoss("binary" if data is binary else "multiclass", **options)
    check(marked(loss), partial(hinge_reference, ignore_index=255, **options), logits, target)


@pytest.mark.parametrize("options", SOFTMAX_OPTIONS, ids=str)
@pytest.mark.parametrize("void", [False, True])
def test_softmax_is_the_definition(void, options):
    logits, target = multiclass()
    target[target == 2] = 3  # absent from the batch
    target[1] = 0  # absent from an image
    target = with_void(target) if void else target
    loss = LovaszSoftmaxLoss("multiclass", **options)
    check(marked(loss), partial(softmax_reference, ignore_index=255, **options), logits, target)


@pytest.mark.parametrize("options", [{}, {"classes": "all", "per_image": True}, {"classes": [1]}], ids=str)
def test_softmax_of_one_logit_is_a_sigmoid(options):
    logits, target = binary()
    target[1] = 0
    target = with_void(target)
    loss = marked(LovaszSoftmaxLoss(**options))
    check(loss, partial(softmax_reference, ignore_index=255, **options), logits, target)
    _, gradient = value_and_gradient(loss, logits, target)
    assert gradient[0].norm() > 1e-3


LOSSES = {
    "hinge": (LovaszHingeLoss, hinge_reference),
    "elu": (partial(LovaszHingeLoss, hinge="elu+1"), partial(hinge_reference, hinge="elu+1")),
    "softmax": (LovaszSoftmaxLoss, softmax_reference),
}
every_loss = pytest.mark.parametrize(("loss", "reference"), LOSSES.values(), ids=LOSSES)


@every_loss
@pytest.mark.parametrize("label", [0, 1])
def test_empty_and_full_masks(loss, reference, label):
    logits, _ = binary()
    check(loss(), reference, logits, torch.full_like(logits, label))


@every_loss
@pytest.mark.parametrize("label", [0.0, 1.0])
@pytest.mark.parametrize("logit", [-3.0, -0.0, 0.5, 2.0])
def test_a_single_pixel(loss, reference, logit, label):
    check(loss(), reference, torch.full((1, 1, 1, 1), logit), torch.full((1, 1, 1, 1), label))


def test_an_empty_mask_leaves_one_pixel_the_gradient():
    logits, target = binary(shape=(1, 1, 9, 8))
    value, gradient = value_and_gradient(LovaszHingeLoss(), logits, torch.zeros_like(target))
    assert value == 1 + logits.max()
    assert gradient.count_nonzero() == 1
    assert gradient.flatten()[logits.argmax()] == 1


@every_loss
def test_void_is_a_zero_that_backward_accepts(loss, reference):
    logits, target = binary()
    logits[0, 0, 0, 0] = torch.nan
    value, gradient = value_and_gradient(marked(loss()), logits, torch.full_like(target, 255))
    assert value == 0
    assert torch.equal(gradient, torch.zeros_like(logits))


@pytest.mark.parametrize("loss", [LovaszHingeLoss, partial(LovaszSoftmaxLoss, per_image=True)])
def test_a_void_image_leaves_the_mean(loss):
    logits, target = binary()
    target[1] = 255
    expected = loss()(logits[[0, 2]], target[[0, 2]])
    torch.testing.assert_close(marked(loss())(logits, target), expected)


def test_present_is_judged_without_ignored_pixels():
    logits, target = multiclass(classes=3)
    target[target == 2] = 255
    two = partial(softmax_reference, classes=[0, 1], ignore_index=255)
    words = ["pre", "sent"]  # not the interned string: a comparison by identity would fail
    check(marked(LovaszSoftmaxLoss("multiclass", classes="".join(words))), two, logits, target)


def test_the_value_of_ties_is_unique():
    logits = random(2, 1, 20, 20).round()  # some ten different errors
    _, target = binary(shape=(2, 1, 20, 20))
    check(LovaszHingeLoss(), hinge_reference, logits, target, gradient=False)
    check(LovaszSoftmaxLoss(), softmax_reference, logits, target, gradient=False)


def test_the_weights_are_those_of_the_worst_order():
    """The extension of a submodular function is the maximum over all orders (Edmonds)."""
    errors = torch.tensor([0.3, 0.7, 0.7, 0.1, 2.0])
    for labels in itertools.product([False, True], repeat=5):
        foreground = torch.tensor(labels)
        worst = 0.0
        for order in itertools.permutations(range(5)):
            background, before, total = 0, 0.0, 0.0
            for k, pixel in enumerate(order):
                background += not labels[pixel]
                jaccard = (k + 1) / (sum(labels) + background)
                total += errors[pixel].item() * (jaccard - before)
                before = jaccard
            worst = max(worst, total)
        value, weights = lovasz.lovasz_weights_cpu(errors[None], foreground[None])
        assert value.item() == pytest.approx(worst, rel=1e-6)
        assert weights.sum() == pytest.approx(1, rel=1e-6)  # 1 - IoU once everything is wrong


@pytest.mark.parametrize("dtype", [torch.bool, torch.uint8, torch.int64, torch.int32, torch.float64, torch.float16])
def test_any_label_dtype(dtype):
    logits, target = binary()
    assert LovaszHingeLoss()(logits, target.to(dtype)) == LovaszHingeLoss()(logits, target)
    assert LovaszSoftmaxLoss()(logits, target.to(dtype)) == LovaszSoftmaxLoss()(logits, target)
    logits, target = multiclass(classes=2)
    loss = LovaszSoftmaxLoss("multiclass")
    assert loss(logits, target.to(dtype)) == loss(logits, target)


def test_soft_labels_count_above_one_half():
    logits, target = binary()
    soft = 0.5 + (target - 0.5) * torch.rand_like(target).clamp(min=0.01)
    assert LovaszHingeLoss()(logits, soft) == LovaszHingeLoss()(logits, target)
    assert LovaszSoftmaxLoss()(logits, soft) == LovaszSoftmaxLoss()(logits, target)


def test_non_contiguous_inputs():
    logits, target = multiclass()
    wide = logits.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2)
    turned = target.transpose(1, 2).contiguous().transpose(1, 2)
    assert not wide.is_contiguous()
    check(LovaszSoftmaxLoss("multiclass", per_image=True), partial(softmax_reference, per_image=True), wide, turned)
    check(LovaszHingeLoss("multiclass"), hinge_reference, wide[:1, :, ::2, 1:], turned[:1, ::2, 1:])


@every_loss
def test_inputs_are_not_written(loss, reference):
    logits, target = binary()
    target = with_void(target)
    before = logits.clone(), target.clone()
    marked(loss())(logits.requires_grad_(), target).backward()
    assert torch.equal(logits, before[0])
    assert torch.equal(target, before[1])


@every_loss
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_computed_in_float32(loss, reference, dtype):
    generator = torch.Generator().manual_seed(3)
    # Exact in both formats and different in magnitude, so that no errors tie.
    logits = (torch.randperm(240, generator=generator) + 1).reshape(2, 1, 10, 12) / 64
    logits = torch.where(torch.rand(logits.shape, generator=generator) < 0.4, logits, -logits).to(dtype)
    _, target = binary(shape=(2, 1, 10, 12))
    value, gradient = value_and_gradient(loss(), logits, target)
    expected, expected_gradient = value_and_gradient(reference, logits.double(), target)
    assert value.dtype == torch.float32
    assert gradient.dtype == dtype
    assert value.item() == pytest.approx(expected.item(), rel=1e-5)
    assert (gradient - expected_gradient).norm() <= 2**-8 * expected_gradient.norm()


@every_loss
def test_float64_is_smooth_between_ties(loss, reference, path):
    logits, target = binary(shape=(2, 1, 3, 4))
    logits, target = logits.double(), with_void(target)
    assert torch.autograd.gradcheck(lambda x: marked(loss())(x, target), logits.requires_grad_(), eps=1e-7, atol=1e-6)
    value = marked(loss())(logits, target)
    assert value.dtype == torch.float64
    assert value.item() == pytest.approx(reference(logits, target, ignore_index=255).item(), rel=1e-13)


def test_images_of_different_difficulty_in_several_threads():
    """Above the size at which rows are shared among threads; rows with no, few and only positive errors."""
    logits, target = binary(shape=(5, 1, 150, 170))
    sign = 2 * target - 1
    shift = torch.tensor([15.0, -15.0, 2.0, 1.0, 0.0]).view(5, 1, 1, 1)
    logits = logits + shift * sign
    target[4] = 0
    check(LovaszHingeLoss(), hinge_reference, logits, target)
    easy = LovaszHingeLoss()(logits[:1], target[:1])
    assert easy == 0
    check(LovaszHingeLoss(per_image=False), partial(hinge_reference, per_image=False), logits, target)


def test_a_full_size_tile_is_exact():
    logits, target = binary(shape=(1, 1, 512, 512))
    check(LovaszHingeLoss(), hinge_reference, logits, target)
    check(LovaszSoftmaxLoss(), softmax_reference, logits, target)


@pytest.mark.parametrize("scale", [1e-3, 30.0, 1e6, 1e30])
def test_small_and_large_logits(scale):
    logits, target = binary()
    # Small logits' errors, all close to 1, are rounded into ties.
    check(LovaszHingeLoss(), hinge_reference, logits * scale, target, gradient=scale > 1)
    value, gradient = value_and_gradient(LovaszSoftmaxLoss(), logits * scale, target)
    expected, _ = value_and_gradient(softmax_reference, logits.double() * scale, target)
    assert value.item() == pytest.approx(expected.item(), rel=1e-5)
    assert gradient.isfinite().all()


def test_confident_right_pixels_keep_their_digits():
    logits, target = binary()
    logits = (4 + 4 * logits.abs()) * (2 * target - 1)
    check(LovaszSoftmaxLoss(), softmax_reference, logits, target)
    check(LovaszHingeLoss(hinge="elu+1"), partial(hinge_reference, hinge="elu+1"), logits, target)


@every_loss
@pytest.mark.parametrize("label", [0, 1])
@pytest.mark.parametrize("sign", [1, -1])
def test_nan_reaches_the_loss(loss, reference, label, sign):
    logits, target = binary()
    logits[2, 0, 3, 4] = torch.tensor(torch.nan).copysign(torch.tensor(float(sign)))
    target[2, 0, 3, 4] = label
    assert loss()(logits, target).isnan()


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_nan_is_the_largest_error(sign):
    errors = random(2, 50)
    foreground = random(2, 50, seed=1) > 0
    errors[:, 7] = torch.inf
    _, expected = lovasz.lovasz_weights_cpu(errors, foreground)
    errors[:, 7] = torch.tensor(torch.nan).copysign(torch.tensor(sign))
    values, weights = lovasz.lovasz_weights_cpu(errors, foreground)
    assert values.isnan().all()
    assert torch.equal(weights, expected)


@every_loss
def test_nan_under_ignored_pixels_stays_there(loss, reference):
    logits, target = binary()
    target = with_void(target)
    value, gradient = value_and_gradient(marked(loss()), logits, target)
    dirty = torch.where(target == 255, torch.nan, logits)
    dirty_value, dirty_gradient = value_and_gradient(marked(loss()), dirty, target)
    assert torch.equal(value, dirty_value)
    assert torch.equal(gradient, dirty_gradient)
    assert not gradient[target == 255].any()


@every_loss
def test_infinite_logits(loss, reference):
    logits, target = binary()
    far = logits.clone()
    far[0, 0, 1] = 1e4 * (2 * target[0, 0, 1] - 1)
    right = torch.where(far.abs() == 1e4, far * torch.inf, far)
    assert torch.equal(loss()(right, target), loss()(far, target))
    wrong = torch.where(far.abs() == 1e4, -right, far)
    assert bool(loss()(wrong, target).isfinite()) == (loss is LovaszSoftmaxLoss)


def test_exchanging_foreground_and_background_keeps_the_symmetric_loss():
    logits, target = binary()
    target = with_void(target)
    loss = marked(LovaszHingeLoss(symmetric=True))
    exchanged = torch.where(target == 255, 255, 1 - target)
    torch.testing.assert_close(loss(logits, target), loss(-logits, exchanged))
    assert loss(logits, target) != marked(LovaszHingeLoss())(logits, target)


def test_hinge_of_classes_that_overlap_is_that_of_each():
    logits, target = binary(shape=(3, 2, 13, 17))
    target[1, 0] = 0
    valid = random(3, 1, 13, 17, seed=9) < 0.8
    parts = [LovaszHingeLoss()(logits[:, [c]], target[:, [c]], valid) for c in range(2)]
    torch.testing.assert_close(LovaszHingeLoss("multilabel")(logits, target, valid), sum(parts) / 2)
    with pytest.raises(
        ValueError, match="for binary and multiclass tasks and the task is multilabel; take lovasz_hinge"
    ):
        LovaszSoftmaxLoss("multilabel")


def test_bad_options_and_classes_are_refused():
    logits, target = multiclass()
    with pytest.raises(ValueError, match="present"):
        LovaszSoftmaxLoss(classes="presnet")
    with pytest.raises(ValueError, match="relu"):
        LovaszHingeLoss(hinge="elu")
    for classes in ([4], [-1], []):
        with pytest.raises(ValueError, match="class numbers among"):
            LovaszSoftmaxLoss("multiclass", classes=classes)(logits, target)
    with pytest.raises(ValueError, match="class numbers among"):
        LovaszSoftmaxLoss(classes=[0])(*binary())
    with pytest.raises(ValueError, match="shape"):
        LovaszHingeLoss()(logits, target[:, :-1])
