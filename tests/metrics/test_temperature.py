import numpy as np
import pytest
import torch
from torch.nn import functional as F

from maskfold.labels import Label, LabelSpec
from maskfold.metrics.temperature import PIXELS, TEMPERATURES, log_losses, tempered

BINARY = LabelSpec("binary", ("roof",))
MULTICLASS = LabelSpec("multiclass", ("a", "b", "c"))
MULTILABEL = LabelSpec("multilabel", ("x", "y"))


def drawn(labels, seed, size=(13, 17)):
    """Logits, and a label drawn from their probabilities with some pixels that do not count."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 0.8, (labels.channels, *size)).astype(np.float32)
    if labels.exclusive:
        values = rng.integers(0, 3, size, np.uint8)
    else:
        values = rng.integers(0, 2, (labels.channels, *size), np.uint8)
    return torch.from_numpy(logits), Label(values[0] if labels is BINARY else values, rng.random(size) < 0.8)


def activated(labels, logits):
    return labels.activate(logits[None])[0].numpy()


@pytest.mark.parametrize("labels", [BINARY, MULTICLASS, MULTILABEL], ids=lambda labels: labels.task)
def test_it_is_what_networks_logits_give(labels):
    logits, _ = drawn(labels, 1)
    for temperature in (0.5, 1.0, 3.0):
        found = tempered(activated(labels, logits), temperature, labels)
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, activated(labels, logits / temperature), atol=2e-3)


@pytest.mark.parametrize("labels", [BINARY, MULTICLASS, MULTILABEL], ids=lambda labels: labels.task)
def test_with_no_least_probability_what_is_certain_stays_so(labels):
    logits = 4 * drawn(labels, 3)[0]
    certain = np.eye(labels.channels, dtype=np.float32)[:, None]
    for temperature in (0.5, 1.0, 4.0):
        found = tempered(activated(labels, logits), temperature, labels, least=0)
        np.testing.assert_allclose(found, activated(labels, logits / temperature), atol=1e-4)
        assert np.array_equal(tempered(certain, temperature, labels, least=0), certain)


@pytest.mark.parametrize("labels", [BINARY, MULTICLASS, MULTILABEL], ids=lambda labels: labels.task)
def test_the_log_loss_is_torchs(labels):
    logits, label = drawn(labels, 2)
    sums, pixels = log_losses(activated(labels, logits), label, labels, (0.5, 1, 2))
    assert pixels == label.valid.sum()
    valid = torch.from_numpy(label.valid)
    for found, temperature in zip(sums, (0.5, 1, 2), strict=True):
        scaled = logits[:, valid].double() / temperature
        if labels.exclusive:
            truth = torch.from_numpy(label.values[label.valid]).long()
            expected = F.cross_entropy(scaled.T, truth, reduction="sum")
        else:
            truth = torch.from_numpy(np.atleast_3d(label.values.T).T[:, label.valid]).double()
            expected = F.binary_cross_entropy_with_logits(scaled, truth, reduction="sum") / labels.channels
        assert found == pytest.approx(expected.item(), rel=2e-3)


def test_maps_of_eight_bits_are_255ths_and_never_quite_certain():
    levels = np.array([[[0, 51, 255]]], np.uint8)
    np.testing.assert_array_equal(tempered(levels, 2, BINARY), tempered(levels / np.float32(255), 2, BINARY))
    assert tempered(levels, 1, BINARY)[0, 0].tolist() == pytest.approx([1 / 510, 0.2, 509 / 510], abs=1e-6)
    sums, _ = log_losses(levels, Label.whole(np.array([[1, 0, 1]], np.uint8)), BINARY, (1,))
    assert sums[0] == pytest.approx(np.log(510) - np.log(0.8) - np.log(509 / 510), abs=1e-5)


def test_the_temperature_that_made_them_wrong_is_found():
    """Truths drawn from probabilities, which are then shown with logits that are 0.4 times what they should be."""
    rng = np.random.default_rng(5)
    logits = torch.from_numpy(rng.normal(0, 2, (1, 200, 300)).astype(np.float32))
    truth = (rng.random((200, 300)) < logits[0].sigmoid().numpy()).astype(np.uint8)
    sums, pixels = log_losses(activated(BINARY, 0.4 * logits), Label.whole(truth), BINARY)
    assert TEMPERATURES[int(np.argmin(sums))] == pytest.approx(0.4, rel=0.1)
    assert 0 < pixels <= PIXELS
    assert TEMPERATURES[16] == 1
    assert (TEMPERATURES[0], TEMPERATURES[-1]) == (0.25, 4)


def test_no_pixel_counts():
    sums, pixels = log_losses(np.full((1, 2, 3), 0.4), Label(np.ones((2, 3), np.uint8), np.zeros((2, 3), bool)), BINARY)
    assert pixels == 0
    assert not sums.any()


def test_what_many_classes_lack_is_shared_so_that_eight_bits_do_not_make_them_unsure():
    """60 classes, truths drawn from the very probabilities that are shown: no temperature is better than 1."""
    labels = LabelSpec("multiclass", tuple(f"class {number}" for number in range(60)))
    rng = np.random.default_rng(8)
    logits = rng.normal(0, 1, (60, 48, 64))
    np.put_along_axis(logits, rng.integers(0, 60, (1, 48, 64)), rng.gamma(4, 3, (1, 48, 64)), 0)
    exact = np.exp(logits) / np.exp(logits).sum(0)
    truth = (exact.cumsum(0) > rng.random((48, 64))).argmax(0).astype(np.uint8)
    levels = np.rint(255 * exact).astype(np.uint8)
    sums, _ = log_losses(levels, Label.whole(truth), labels)
    assert TEMPERATURES[int(np.argmin(sums))] == 1
    np.testing.assert_allclose(tempered(levels, 1, labels), exact, atol=0.03)
    certain = np.zeros((60, 1, 1), np.uint8)
    certain[7] = 255
    assert tempered(certain, 1, labels)[7] == pytest.approx(1 - 1 / 510, abs=1e-5)


def test_two_exclusive_classes_are_tempered_as_one_and_its_rest():
    both = LabelSpec("multiclass", ("ground", "roof"))
    for level in (0, 1, 77, 254, 255):
        pair = np.array([255 - level, level], np.uint8)[:, None, None]
        single = tempered(pair[1:], 1.7, BINARY)[0]
        np.testing.assert_allclose(tempered(pair, 1.7, both)[1], single, atol=1e-6)
