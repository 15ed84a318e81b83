"""Targets that are not certain: smoothing against formulas, soft values through scaling, augmentation and batches."""

import math
import pickle

import cv2
import numpy as np
import pytest
import torch
from tests.datasets.conftest import unmarked

from maskfold.datasets import Draw, Smoothing, TrainDataset, build_augmentation, collate_train
from maskfold.labels import Label, LabelSpec
from maskfold.resizing import fit_image, fit_label

BINARY = LabelSpec("binary", ("roof",))
CLASSES = LabelSpec("multiclass", ("sky", "road", "car"))
OVERLAPPING = LabelSpec("multilabel", ("fish", "sugar"))


def soft_label(size, labels, seed=0, void=None):
    rng = np.random.default_rng(seed)
    values = cv2.GaussianBlur(rng.random((*size, labels.channels)).astype(np.float32), (0, 0), 1.5)
    values = np.moveaxis(values.reshape(*size, labels.channels), -1, 0)
    if labels.exclusive:
        values = values / values.sum(0)
    valid = np.ones(size, bool)
    if void is not None:
        valid[void] = False
    return Label(np.where(valid, values, 0).astype(np.float32), valid)


def test_uniform_smoothing_is_the_formula():
    mask = np.array([[0, 2, 1, 2]], np.uint8)
    found = Smoothing(CLASSES, uniform=0.3)(Label.whole(mask)).values
    expected = 0.7 * np.eye(3)[mask[0]] + 0.1
    np.testing.assert_allclose(found[:, 0].T, expected, rtol=1e-6)
    found = Smoothing(BINARY, uniform=0.3)(Label.whole(np.array([[0, 1]], np.uint8))).values
    assert found == pytest.approx(np.array([[[0.15, 0.85]]]))


def test_boundary_smoothing_follows_the_distance():
    mask = np.zeros((40, 60), np.uint8)
    mask[:, 25:] = 1
    sigma = 3.0
    found = Smoothing(BINARY, boundary=sigma)(Label.whole(mask)).values[0]
    for column in (10, 20, 24, 25, 29, 50):
        distance = column + 0.5 - 25  # pixel centres, boundary between columns 24 and 25
        assert found[17, column] == pytest.approx(0.5 * (1 + math.erf(distance / sigma / math.sqrt(2))), abs=4e-3)


def test_smoothing_does_not_look_at_pixels_that_do_not_count():
    mask = np.zeros((30, 30), np.uint8)
    mask[:, 14:] = 1
    valid = np.ones((30, 30), bool)
    valid[:, 12:14] = False
    found = []
    for hidden in (0, 1):
        values = np.where(valid, mask, hidden).astype(np.uint8)
        found.append(Smoothing(BINARY, boundary=2.0, uniform=0.1)(Label(values * valid, valid)))
    assert np.array_equal(found[0].values, found[1].values)
    assert not found[0].values[0][~valid].any()
    classes = Smoothing(CLASSES, boundary=1.5, uniform=0.2)(Label(np.where(valid, mask + 1, 0).astype(np.uint8), valid))
    assert classes.values.sum(0)[valid] == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("labels", [BINARY, CLASSES, OVERLAPPING], ids=lambda labels: labels.task)
@pytest.mark.parametrize("size", [(24, 18), (61, 50), (90, 33)])
def test_soft_values_are_resized_as_means_over_what_counts(labels, size):
    label = soft_label((48, 36), labels)
    found = fit_label(label, size, labels)
    assert found.values.dtype == np.float32
    for layer, before in zip(found.values, label.values, strict=True):
        assert layer == pytest.approx(fit_image(before, size), abs=1e-6)
    constant = Label(np.full((labels.channels, 48, 36), 1 / 3, np.float32), label.valid.copy())
    constant.valid[5:20, 7:16] = False
    constant.values[:, 5:20, 7:16] = 0
    found = fit_label(constant, size, labels)
    assert 0 < np.count_nonzero(~found.valid) < found.valid.size
    assert found.values[:, found.valid] == pytest.approx(1 / 3, abs=1e-5)
    assert not found.values[:, ~found.valid].any()


@pytest.mark.parametrize(
    "spec",
    ["none", "d4", "heavy", "scale_crop", [{"Affine": {"rotate": [-40, 40], "scale": [0.6, 1.5], "p": 1.0}}]],
    ids=str,
)
def test_soft_values_move_with_the_image(spec):
    augmentation = build_augmentation(["HorizontalFlip"] if spec == "heavy" else spec, crop=40)
    rng = np.random.default_rng(5)
    gray = cv2.GaussianBlur(rng.integers(0, 255, (70, 56)).astype(np.uint8), (0, 0), 3)
    gray = cv2.normalize(gray, None, 20, 240, cv2.NORM_MINMAX)
    label = Label.whole((gray / 255).astype(np.float32)[None])
    for seed in range(20):
        image, moved = augmentation(np.repeat(gray[..., None], 3, 2), label, seed)
        inside = image[..., 0] > 0
        difference = np.abs(moved.values[0] - image[..., 0] / 255)[inside]
        assert difference.max() < 0.02, "8-bit rounding of the image, twice"


def test_interpolation_leaves_out_what_does_not_count():
    spec = [{"Affine": {"rotate": [-40, 40], "scale": [0.7, 1.4], "fill_mask": 255, "p": 1.0}}]
    augmentation = build_augmentation(spec, crop=32)
    values = np.stack([np.full((50, 44), 0.7, np.float32), np.full((50, 44), 0.2, np.float32)])
    valid = np.ones((50, 44), bool)
    valid[10:24, 8:30] = False
    label = Label(np.where(valid, values, 0).astype(np.float32), valid)
    lost = 0
    for seed in range(20):
        _, moved = augmentation(np.zeros((50, 44, 3), np.uint8), label, seed)
        assert moved.values[0][moved.valid] == pytest.approx(0.7, abs=1e-4)
        assert moved.values[1][moved.valid] == pytest.approx(0.2, abs=1e-4)
        assert not moved.values[:, ~moved.valid].any()
        lost += np.count_nonzero(~moved.valid)
    assert 20 * 50 < lost < 20 * 900
    assert pickle.loads(pickle.dumps(augmentation))(np.zeros((50, 44, 3), np.uint8), label, 3)[1].valid.any()


class HalfOf:
    """A source that halves what is there, of every second image."""

    def __call__(self, sample, label, draw):
        if draw.index % 2:
            return label
        return Label(0.5 * CLASSES.shares(label) + np.float32(1 / 6), label.valid)


def test_a_batch_of_soft_and_hard_labels(fake):
    competition = fake([(40, 50), (50, 40)], classes=3)
    augment = build_augmentation("d4", crop=32)
    plain = TrainDataset(competition, competition.samples(), augment=augment, seed=3)
    soft = TrainDataset(competition, competition.samples(), augment=augment, seed=3, sources=[HalfOf()])
    smooth = TrainDataset(
        competition, competition.samples(), augment=augment, seed=3, smoothing=Smoothing(CLASSES, uniform=0.3)
    )
    draws = [Draw(0, 0), Draw(0, 1)]
    hard, halved, smoothed = (collate_train([data[draw] for draw in draws]) for data in (plain, soft, smooth))
    assert hard["targets"]["mask"].shape == (2, 32, 32)
    one_hot = torch.nn.functional.one_hot(hard["targets"]["mask"].long(), 3).permute(0, 3, 1, 2).float()
    expected = torch.stack([0.5 * one_hot[0] + 1 / 6, one_hot[1]])
    assert torch.allclose(halved["targets"]["mask"], expected, atol=1e-6)
    assert torch.allclose(smoothed["targets"]["mask"], 0.7 * one_hot + 0.1, atol=1e-6)
    assert torch.equal(hard["image"], halved["image"])


def test_distances_are_of_the_decided_mask(fake):
    competition = fake([(40, 50)], ignored=(0,))
    mask = unmarked(competition.arrays["000.png"][1])
    hard = TrainDataset(competition, competition.samples(), needs={"distance"})[Draw(0, 0)]
    smooth = TrainDataset(
        competition, competition.samples(), needs={"distance"}, smoothing=Smoothing(BINARY, uniform=0.4)
    )[Draw(0, 0)]
    assert mask.values.any()
    assert torch.equal(hard["targets"]["distance"], smooth["targets"]["distance"])


@pytest.mark.parametrize("classes", [None, 3])
def test_further_targets_are_of_the_label_before_smoothing(fake, classes):
    """Four pixels, which a blur makes so faint that they would be of no object."""
    competition = fake([(40, 50)], classes=classes)
    there = np.zeros((40, 50), np.uint8)
    there[8:10, 11:13] = 1
    competition.arrays["000.png"] = competition.arrays["000.png"][0], there
    needs = {"distance", "presence", *(() if classes else ("inner",))}
    blurred = Smoothing(competition.labels, boundary=2.0, uniform=0.1)
    found = TrainDataset(competition, competition.samples(), needs=needs, smoothing=blurred)[Draw(0, 0)]["targets"]
    layer = 1 if classes else 0
    assert 0.1 < found["mask"][layer].max() < 0.3
    assert found["presence"].tolist() == ([1, 1, 0] if classes else [1])
    assert found["distance"][layer].max().item() == pytest.approx(math.hypot(39 - 9, 49 - 12)), "of the far corner"
    if not classes:
        np.testing.assert_array_equal(found["inner"][0].numpy(), there)
