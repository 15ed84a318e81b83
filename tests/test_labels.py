"""What a task means: masks and their layers, probabilities, decisions and targets, pixel by pixel."""

import numpy as np
import pytest
import torch

from maskfold.errors import MaskfoldError
from maskfold.labels import Label, LabelSpec

BINARY = LabelSpec("binary", ("roof",))
CLASSES = LabelSpec("multiclass", ("ground", "roof", "tree", "car"))
CLOUDS = LabelSpec("multilabel", ("fish", "flower", "sugar"))
ALL = (BINARY, CLASSES, CLOUDS)
each_task = pytest.mark.parametrize("labels", ALL, ids=lambda labels: labels.task)
SIZE = (5, 7)


def random_mask(labels, seed=0):
    return np.random.default_rng(seed).integers(0, labels.highest + 1, labels.mask_shape(SIZE), np.uint8)


def cells(labels, mask):
    """For each pixel the set of the class numbers (channels) it has, by the module's text."""
    found = {}
    for y, x in np.ndindex(SIZE):
        if labels.task == "binary":
            found[y, x] = {0} if mask[y, x] == 1 else set()
        elif labels.task == "multiclass":
            found[y, x] = {int(mask[y, x])}
        else:
            found[y, x] = {c for c in range(3) if mask[c, y, x] == 1}
    return found


@each_task
def test_layers_and_masks(labels):
    mask = random_mask(labels)
    layers = labels.layers(mask)
    assert (layers.dtype, layers.shape) == (bool, (labels.channels, *SIZE))
    assert {p: {c for c in range(labels.channels) if layers[c][p]} for p in np.ndindex(SIZE)} == cells(labels, mask)
    for form in (layers, layers.astype(np.uint8)):
        again = labels.mask(form)
        assert again.dtype == np.uint8
        np.testing.assert_array_equal(again, mask)
    assert Label.whole(mask).valid.shape == SIZE


@each_task
def test_foreground_and_differences(labels):
    one, two = random_mask(labels, 1), random_mask(labels, 2)
    a, b = cells(labels, one), cells(labels, two)
    background = {0} if labels.exclusive else set()
    foreground, different = labels.foreground(one), labels.differ(one, two)
    assert foreground.shape == different.shape == SIZE
    for pixel in np.ndindex(SIZE):
        assert foreground[pixel] == (a[pixel] != background)
        assert different[pixel] == (a[pixel] != b[pixel])


@each_task
def test_a_layer_for_each_name_of_a_value(labels):
    mask = random_mask(labels)
    layers = labels.value_layers(mask)
    assert len(layers) == len(labels.value_names)
    if labels.task == "multilabel":
        np.testing.assert_array_equal(layers, mask == 1)
    else:
        assert all((layers[value] == (mask == value)).all() for value in range(labels.highest + 1))
    assert LabelSpec("binary", ("background",)).value_names == ("background", "foreground")


@each_task
def test_activation_decision_and_vote_agree(labels):
    logits = 3 * torch.randn(2, labels.channels, *SIZE, generator=torch.Generator().manual_seed(1))
    logits[0, :, 0, 0] = 0
    exact = logits.double().numpy()
    expected = np.exp(exact) / np.exp(exact).sum(1, keepdims=True) if labels.exclusive else 1 / (1 + np.exp(-exact))
    probability = labels.activate(logits)
    np.testing.assert_allclose(probability.numpy(), expected, rtol=1e-5)
    votes = labels.vote(logits)
    for image, vote in zip(probability.numpy(), votes.numpy(), strict=True):
        mask = labels.decide(image)
        assert mask.shape == labels.mask_shape(SIZE)
        np.testing.assert_array_equal(labels.layers(mask), vote == 1)
        np.testing.assert_array_equal(labels.decide(np.rint(image * 255).astype(np.uint8)), mask)


def test_each_class_has_a_threshold_of_its_own():
    probability = np.random.default_rng(0).random((3, *SIZE), np.float32)
    mask = CLOUDS.decide(probability, (0.2, 0.5, 0.9))
    for layer, part, level in zip(mask, probability, (0.2, 0.5, 0.9), strict=True):
        np.testing.assert_array_equal(layer, part >= np.float32(level))


def test_targets():
    """They are bytes in a batch, and what losses take behind it."""
    byte = torch.uint8
    of_binary, of_classes, of_layers, soft = (
        (BINARY, torch.tensor([[0, 1]], dtype=byte), (1, 1, 2), torch.float32),
        (CLASSES, torch.tensor([[0, 3]], dtype=byte), (1, 2), torch.int64),
        (CLOUDS, torch.tensor([[[0, 1]], [[1, 1]], [[0, 0]]], dtype=byte), (3, 1, 2), torch.float32),
        (CLASSES, torch.rand(4, 1, 2), (4, 1, 2), torch.float32),
    )
    for labels, values, shape, dtype in (of_binary, of_classes, of_layers, soft):
        target = labels.target(values)
        assert (target.dtype, target.shape) == (values.dtype, shape)
        compared = labels.compared(torch.stack([target, target.flip(-1)]))
        assert (compared.dtype, compared.shape) == (dtype, (2, *shape))
        assert compared[0].flatten().tolist() == values.flatten().tolist()


@pytest.mark.parametrize(
    ("task", "names", "message"),
    [
        ("multi", ("a",), "the task is 'multi': expected binary, multiclass, multilabel"),
        ("binary", ("a", "b"), "expected one name"),
        ("multiclass", ("a",), "expected two or more"),
        ("multilabel", (), "expected one or more"),
        ("multilabel", ("a", "b", "a"), "not distinct"),
        ("multiclass", tuple(f"c{i}" for i in range(256)), "256 class names: expected at most 255"),
    ],
)
def test_refused(task, names, message):
    with pytest.raises(MaskfoldError, match=message):
        LabelSpec(task, names)


def test_as_many_classes_as_a_mask_can_hold():
    labels = LabelSpec("multiclass", tuple(f"c{i}" for i in range(255)))
    mask = np.array([[254, 0, 253], [1, 128, 254]], np.uint8)
    np.testing.assert_array_equal(labels.decide(labels.layers(mask).astype(np.float32)), mask)
    assert LabelSpec("multilabel", tuple(f"c{i}" for i in range(300))).channels == 300  # a layer each
