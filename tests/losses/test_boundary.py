"""Boundary losses: distances by brute force, and what the losses must do with edges, void and ties."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from tests.losses.conftest import marked

from maskfold.losses.boundary import ActiveBoundaryLoss, BoundaryLoss, signed_distance


def brute_force_distance(mask):
    result = np.zeros(mask.shape)
    for y, x in np.ndindex(mask.shape):
        others = np.argwhere(mask != mask[y, x])
        distance = np.hypot(*(others - (y, x)).T).min()
        result[y, x] = 1 - distance if mask[y, x] else distance
    return result


def blob(height=9, width=14):
    mask = np.zeros((height, width), bool)
    mask[2:7, 3:8] = True
    mask[4, 8:11] = True
    mask[0, 12:] = True
    return mask


@pytest.mark.parametrize("mask", [blob(), blob().T, ~blob(), blob()[4:5], blob()[:, 9:10]], ids=str)
@pytest.mark.parametrize("dtype", [bool, np.uint8, np.float32])
def test_signed_distance_is_exact(mask, dtype):
    distance = signed_distance(mask.astype(dtype))
    assert distance.dtype == np.float32
    np.testing.assert_allclose(distance, brute_force_distance(mask), rtol=1e-6, atol=1e-6)


def test_signed_distance_is_no_integer_and_0_on_the_inner_edge():
    distance = signed_distance(blob())
    assert distance[1, 2] == pytest.approx(math.sqrt(2))
    assert distance[2, 3:8].tolist() == [0, 0, 0, 0, 0]
    assert distance[4, 5] == pytest.approx(-2)


@pytest.mark.parametrize("label", [0, 1])
def test_empty_and_full_masks_have_no_distance(label):
    assert not signed_distance(np.full((5, 7), label, np.uint8)).any()


@pytest.mark.parametrize("mask", [blob() * 255, blob() * 0.5, blob()[None], np.full((2, 2), np.nan)], ids=str)
def test_signed_distance_refuses_other_masks(mask):
    with pytest.raises(ValueError, match="expected 0 and 1"):
        signed_distance(mask)


def binary_batch():
    generator = torch.Generator().manual_seed(0)
    masks = np.stack([blob(), np.flip(blob()), np.zeros_like(blob())])
    logits = torch.randn(3, 1, 9, 14, generator=generator)
    distance = torch.from_numpy(np.stack([signed_distance(mask) for mask in masks])).unsqueeze(1)
    return logits, torch.from_numpy(masks).float().unsqueeze(1), distance


def multiclass_batch():
    generator = torch.Generator().manual_seed(0)
    target = torch.randint(3, (2, 4, 5), generator=generator).repeat_interleave(3, 1).repeat_interleave(2, 2)
    distance = torch.from_numpy(np.stack([[signed_distance(image == c) for c in range(3)] for image in target.numpy()]))
    return torch.randn(2, 3, 12, 10, generator=generator), target, distance


def test_boundary_loss_of_a_binary_batch():
    logits, target, distance = binary_batch()
    target[0, 0, :2] = 255
    p, d = 1 / (1 + (-logits.double()).exp()), distance.double()
    images = [(p[0, 0, 2:] * d[0, 0, 2:]).mean(), (p[1] * d[1]).mean(), (p[2] * d[2]).mean()]
    pixels = torch.cat([(p * d)[0, 0, 2:].flatten(), (p * d)[1:].flatten()])
    per_image = marked(BoundaryLoss())(logits, target, distance=distance)
    per_batch = marked(BoundaryLoss(per_image=False))(logits, target, distance=distance)
    assert per_image.item() == pytest.approx((sum(images) / 3).item(), rel=1e-5)
    assert per_batch.item() == pytest.approx(pixels.mean().item(), rel=1e-5)


def test_boundary_loss_of_classes_and_its_gradient():
    logits, target, distance = multiclass_batch()
    logits.requires_grad_()
    BoundaryLoss("multiclass")(logits, target, distance=distance).backward()
    p = (logits.double().exp() / logits.double().exp().sum(1, keepdim=True)).detach()
    d = distance.double() / logits.numel()
    expected = p * (d - (p * d).sum(1, keepdim=True))
    assert (logits.grad - expected).norm() <= 1e-5 * expected.norm()


def test_boundary_loss_gradcheck_and_dtypes():
    logits, target, distance = binary_batch()
    loss = marked(BoundaryLoss())
    target[1, 0, 3:5] = 255
    small = logits[:, :, 2:6, 6:11].double().requires_grad_()
    cut = target[:, :, 2:6, 6:11], distance[:, :, 2:6, 6:11]
    assert torch.autograd.gradcheck(lambda x: loss(x, cut[0], distance=cut[1]), small)
    half = loss(logits.bfloat16(), target.byte(), distance=distance)
    assert half.dtype == torch.float32
    exact = loss(logits.bfloat16().double(), target, distance=distance.double())
    assert half.item() == pytest.approx(exact.item(), rel=1e-5)


@pytest.mark.parametrize("loss", [BoundaryLoss, ActiveBoundaryLoss])
def test_ignored_pixels_have_no_say(loss):
    logits, target, distance = binary_batch()
    target[0, 0, 2:5, 5:] = 255
    target[1] = 255
    dirty, dirty_distance = logits.clone(), distance.clone()
    dirty[target == 255], dirty_distance[target == 255] = torch.nan, torch.nan
    clean, dirty = logits.clone().requires_grad_(), dirty.requires_grad_()
    values = [
        marked(loss())(clean, target, distance=distance),
        marked(loss())(dirty, target, distance=dirty_distance),
    ]
    for value in values:
        value.backward()
    assert values[0] == values[1]
    assert torch.equal(clean.grad, dirty.grad)
    assert not clean.grad[target == 255].any()
    rest = [tensor[[0, 2]] for tensor in (logits, target, distance)]
    torch.testing.assert_close(values[0].detach(), marked(loss())(rest[0], rest[1], distance=rest[2]))


@pytest.mark.parametrize("loss", [marked(BoundaryLoss()), marked(ActiveBoundaryLoss())])
@pytest.mark.parametrize("label", [0, 1, 255])
def test_nothing_to_move_is_a_zero_that_backward_accepts(loss, label):
    logits, target, _ = binary_batch()
    logits.requires_grad_()
    value = loss(logits, torch.full_like(target, label), distance=torch.zeros_like(logits))
    value.backward()
    assert value == 0
    assert not logits.grad.any()


@pytest.mark.parametrize("loss", [BoundaryLoss(), ActiveBoundaryLoss()])
def test_nan_reaches_the_loss_and_inputs_are_not_written(loss):
    logits, target, distance = binary_batch()
    inputs = logits, target, distance
    before = [tensor.clone() for tensor in inputs]
    loss(logits.requires_grad_(), target, distance=distance).backward()
    assert all(torch.equal(*pair) for pair in zip(inputs, before, strict=True))
    spoilt = logits.detach().clone()
    spoilt[1, 0, 2, 2] = torch.nan
    assert loss(spoilt, target, distance=distance).isnan()


@pytest.mark.parametrize("distance", [None, torch.zeros(3, 9, 14)])
def test_boundary_loss_asks_for_its_distance(distance):
    logits, target, _ = binary_batch()
    assert BoundaryLoss.needs == {"distance"}
    with pytest.raises(ValueError, match="signed_distance"):
        BoundaryLoss()(logits, target, distance=distance)


def square(top, left, size=20):
    mask = torch.zeros(1, 1, 40, 44)
    mask[:, :, top : top + size, left : left + size] = 1
    return mask


def dice(logits, target):
    predicted = (logits > 0).float()
    return (2 * (predicted * target).sum() / (predicted.sum() + target.sum())).item()


def test_active_boundary_moves_a_shifted_square():
    target = square(9, 12)
    logits = F.avg_pool2d(6 * square(12, 8) - 3, 5, stride=1, padding=2, count_include_pad=False).requires_grad_()
    optimizer = torch.optim.SGD([logits], lr=500.0)
    loss = ActiveBoundaryLoss(boundary_share=0.05, max_distance=5)
    scores = [dice(logits, target)]
    for _ in range(30):
        optimizer.zero_grad()
        loss(logits, target).backward()
        optimizer.step()
        scores.append(dice(logits, target))
    assert scores[10] > scores[0] + 0.05
    assert scores[30] > scores[0] + 0.1


def test_active_boundary_by_hand():
    """One row, true boundary at pixel 5 (the left one of the pair), predicted between 2 and 3."""
    target = torch.tensor([0, 0, 0, 0, 0, 0, 1, 1, 1, 1.0]).view(1, 1, 1, 10)
    logits = torch.tensor([-3, -3, -2, 2, 3, 3, 3, 3, 3, 3.0], dtype=torch.float64).view(1, 1, 1, 10)
    loss = ActiveBoundaryLoss(max_distance=4)(logits, target)
    p = logits.sigmoid().flatten()

    def kl(a, b):  # of pixel b's probabilities from pixel a's
        return p[b] * (p[b] / p[a]).log() + (1 - p[b]) * ((1 - p[b]) / (1 - p[a])).log()

    terms = []
    for pixel in (1, 2, 3):  # pixel 2 diverges most from its right neighbour, plus one to each side
        left, right = kl(pixel, pixel - 1), kl(pixel, pixel + 1)
        log_sum = (left.exp() + right.exp() + 6).log()  # six neighbours outside the image
        rest = 0.2 / 7 * (log_sum - left + 6 * log_sum)
        terms.append((0.8 * (log_sum - right) + rest) * min(5 - pixel, 4) / 4)
    assert loss.item() == pytest.approx((sum(terms) / 3).item(), rel=1e-9)


def test_active_boundary_is_per_image():
    target = torch.cat([square(9, 12), square(3, 20, 12)])
    logits = torch.cat([4 * square(12, 8) - 2, 3 * square(5, 17, 15) - 1])
    loss = ActiveBoundaryLoss()
    both = loss(logits, target)
    torch.testing.assert_close(loss(logits.repeat(4, 1, 1, 1), target.repeat(4, 1, 1, 1)), both)
    assert both.item() == pytest.approx(((loss(logits[:1], target[:1]) + loss(logits[1:], target[1:])) / 2).item())


def test_active_boundary_of_one_logit_is_that_of_two_classes():
    target, logits = square(9, 12), 4 * square(12, 8) - 2 + torch.randn(1, 1, 40, 44)
    two = torch.cat([torch.zeros_like(logits), logits], 1)
    torch.testing.assert_close(
        ActiveBoundaryLoss("multiclass")(two, target[:, 0].long()), ActiveBoundaryLoss()(logits, target)
    )


def test_active_boundary_ignores_the_edges_of_void():
    """A boundary that only void makes is none: label 1 inside a void ring on background."""
    target = square(9, 12)
    ring = square(7, 10, 24) - target
    target[ring.bool()] = 255
    logits = 4 * square(12, 8) - 2
    assert marked(ActiveBoundaryLoss())(logits, target) == 0


def test_active_boundary_predicts_none_at_void():
    target = square(9, 12)
    target[:, :, 12:20, 15:25] = 255
    assert marked(ActiveBoundaryLoss())(torch.full_like(target, 3.0), target) == 0
    assert marked(ActiveBoundaryLoss())(4 * square(12, 8) - 2, target) > 0


def active_boundary_of_an_image(p, held, labels, valid, share=0.05, max_distance=2, smoothing=0.1):
    """The definition in the docstring, pixel by pixel: probabilities (K, H, W), labels and valid (H, W), as numpy.

    ``held`` are the probabilities too: those of the neighbours and of the choice of pixels, which have no gradient.
    """
    pixels = [pixel for pixel in np.ndindex(labels.shape) if valid[pixel]]

    def kl(a, b):
        return sum(h * math.log(h / q) for h, q in zip(held[:, *a], held[:, *b], strict=True))

    def score_of(neighbour, here):
        return sum(h * math.log(h / q) for h, q in zip(held[:, *neighbour], p[:, *here], strict=True))

    pairs = [((y, x), other) for y, x in pixels for other in ((y + 1, x), (y, x + 1)) if other in pixels]
    true_boundary = [a for a, b in pairs if labels[a] != labels[b]]
    if not true_boundary:
        return 0.0
    divergence = {}
    for a, b in pairs:
        divergence[a] = max(divergence.get(a, 0), kl(a, b))
    core = sorted(divergence, key=divergence.get)[-int(share * labels.size) :]
    near = {(y, x): [(y + i, x + j) for i in (-1, 0, 1) for j in (-1, 0, 1) if i or j] for y, x in pixels}
    distance = {a: min(math.dist(a, b) for b in true_boundary) for a in pixels}
    terms = []
    for a in pixels:
        others = [b for b in near[a] if b in pixels]
        if a not in core and not set(near[a]) & set(core):
            continue
        goal = min(others, key=distance.get)
        if distance[goal] >= distance[a]:
            continue
        scores = [score_of(b, a) if b in pixels else 0.0 for b in near[a]]
        normaliser = math.log(sum(map(math.exp, scores)))
        entropy = 0.0
        for direction, score in zip(near[a], scores, strict=True):
            entropy += (1 - smoothing if direction == goal else smoothing / 7) * (normaliser - score)
        terms.append(entropy * min(distance[a], max_distance) / max_distance)
    return sum(terms) / len(terms) if terms else 0.0


def active_case(channels, seed):
    """Logits that are right in part and shifted, layers (2, C, 12, 15) of large squares, and some void."""
    generator = torch.Generator().manual_seed(seed)
    layers = (torch.rand(2, channels, 3, 3, generator=generator) < 0.5).float()
    layers = layers.repeat_interleave(4, 2).repeat_interleave(5, 3)
    logits = 3 * torch.randn(2, channels, 12, 15, generator=generator) + 4 * layers.roll((2, 1), (2, 3))
    valid = torch.ones(2, 12, 15, dtype=torch.bool)
    valid[0, 3:6, 9:], valid[1, 2:6, 7:9] = False, False
    return logits, layers, valid


@pytest.mark.parametrize(("task", "channels"), [("binary", 1), ("multiclass", 3), ("multilabel", 2)])
@pytest.mark.parametrize("seed", [2, 5])
def test_active_boundary_is_the_definition(task, channels, seed):
    logits, layers, valid = active_case(channels, seed)
    loss = ActiveBoundaryLoss(task, boundary_share=0.05, max_distance=2, smoothing=0.1)
    target = layers.argmax(1) if task == "multiclass" else layers
    spoilt = torch.where(valid if target.ndim == 3 else valid[:, None], target, 7)
    found = loss(logits, spoilt, valid)
    exact = logits.double()
    if task == "multiclass":
        images = [(x.softmax(0), labels, v) for x, labels, v in zip(exact, target, valid, strict=True)]
    else:  # every class by itself: background and foreground
        images = [
            (torch.stack([(-x).sigmoid(), x.sigmoid()]), layer, v)
            for x_image, y_image, v in zip(exact, layers, valid, strict=True)
            for x, layer in zip(x_image, y_image, strict=True)
        ]
    parts = [active_boundary_of_an_image(p, p, *rest) for p, *rest in ([x.numpy() for x in i] for i in images)]
    assert sum(part > 0 for part in parts) >= 2
    assert found.item() == pytest.approx(sum(parts) / len(parts), rel=1e-5)


def test_active_boundary_gradient_holds_the_neighbours_still():
    logits, layers, valid = active_case(1, 2)
    leaf = logits.double().requires_grad_()
    ActiveBoundaryLoss(boundary_share=0.05, max_distance=2, smoothing=0.1)(leaf, layers, valid).backward()
    gradient = leaf.grad[0, 0].numpy()
    assert (gradient != 0).sum() > 9
    x, step = leaf.detach()[0, 0].numpy(), 1e-5

    def value(moved):
        held, p = (np.stack([1 / (1 + np.exp(z)), 1 / (1 + np.exp(-z))]) for z in (x, moved))
        return active_boundary_of_an_image(p, held, layers[0, 0].numpy(), valid[0].numpy()) / 2  # of two images

    for place in [*np.argwhere(gradient)[::3], (0, 0)]:
        shift = np.zeros_like(x)
        shift[tuple(place)] = step
        slope = (value(x + shift) - value(x - shift)) / (2 * step)
        assert gradient[tuple(place)] == pytest.approx(slope, rel=1e-4, abs=1e-9)


@pytest.mark.parametrize(
    "options", [{"boundary_share": 2}, {"max_distance": 0}, {"smoothing": 1}], ids=lambda options: next(iter(options))
)
def test_active_boundary_refuses_bad_options(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        ActiveBoundaryLoss(**options)
