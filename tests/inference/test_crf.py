"""The fully connected CRF against the direct sum over all pairs of pixels, written here in float64."""

import numpy as np
import pytest
import torch
from tests.conftest import draw_scene

from maskfold.config import CRFConfig, PostConfig
from maskfold.errors import ConfigError, InferenceError
from maskfold.images import ImageSpec
from maskfold.inference.decoding import build_chain, crf, tunable_values
from maskfold.inference.decoding.permutohedral import PermutohedralLattice
from maskfold.labels import LabelSpec

BINARY = LabelSpec("binary", ("building",))
CLOUDS = LabelSpec("multilabel", ("cirrus", "fog"))
CAMVID = LabelSpec(
    "multiclass",
    ("sky", "building", "pole", "road", "pavement", "tree", "sign", "fence", "car", "pedestrian", "bicyclist"),
)
OPTIONS = {"w1": 3.5, "theta_alpha": 9.0, "theta_beta": 14.0, "w2": 1.5, "theta_gamma": 1.25, "steps": 4}


def direct(probability, image, *, w1, theta_alpha, theta_beta, w2, theta_gamma, steps):
    """Mean field (Krähenbühl & Koltun 2011, algorithm 1) of all labels (L, H, W), each sum written out."""
    height, width = image.shape[:2]
    places = np.stack(np.meshgrid(np.arange(height), np.arange(width), indexing="ij"), -1).reshape(-1, 2).astype(float)
    colours = image.reshape(-1, 3).astype(float)
    apart = ((places[:, None] - places[None]) ** 2).sum(-1)
    unlike = ((colours[:, None] - colours[None]) ** 2).sum(-1)
    appearance = np.exp(-apart / (2 * theta_alpha**2) - unlike / (2 * theta_beta**2))
    smoothness = np.exp(-apart / (2 * theta_gamma**2))
    pairwise = 0
    for weight, kernel in ((w1, appearance), (w2, smoothness)):
        root = np.sqrt(kernel.sum(1))
        pairwise = pairwise + weight * kernel / root[:, None] / root[None]
    highest = 1 - 0.5 / 255 if len(probability) == 2 else 1
    given = np.clip(probability.reshape(len(probability), -1).astype(float), 0.5 / 255, highest)
    given /= given.sum(0)
    belief = given
    for _ in range(steps):
        message = belief @ pairwise.T
        cost = message.sum(0) - message  # Potts: what every other label holds
        belief = given * np.exp(-cost)
        belief /= belief.sum(0)
    return belief.reshape(probability.shape)


def scene(height=23, width=31, seed=0, classes=1):
    """An image with clear edges, and a noisy probability of its bright parts (or of several classes)."""
    rng = np.random.default_rng(seed)
    image, mask = draw_scene(rng, height, width, buildings=3)
    if classes == 1:
        return image, (0.3 + 0.4 * mask + rng.normal(0, 0.2, mask.shape)).clip(0, 1)[None].astype(np.float32), mask
    label = mask * (1 + (np.arange(width) * 3 // width)) % classes
    noisy = 0.8 * np.eye(classes)[label].transpose(2, 0, 1) + rng.random((classes, height, width))
    return image, (noisy / noisy.sum(0)).astype(np.float32), label


def refined(probability, image, labels, **options):
    chain = build_chain(PostConfig(crf=OPTIONS | options), labels)
    return chain.refine(probability, lambda: image)


def two(layer):
    return np.stack([1 - layer, layer])


@pytest.mark.parametrize("options", [{}, {"w1": 0.0}, {"w2": 0.0}, {"steps": 1}, {"theta_alpha": 60.0, "w1": 6.0}])
def test_small_images_are_exact(options):
    image, probability, _ = scene()
    expected = direct(two(probability[0]), image, **OPTIONS | options)[1]
    found = refined(probability, image, BINARY, **options)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found[0], expected, atol=5e-6)
    assert np.abs(expected - probability[0]).mean() > 0.05, "the field does something"


def test_each_class_has_a_field_of_its_own_where_classes_overlap():
    image, first, _ = scene()
    _, second, _ = scene(seed=5)
    found = refined(np.concatenate([first, second]), image, CLOUDS)
    for layer, one in zip(found, (first, second), strict=True):
        np.testing.assert_allclose(layer, direct(two(one[0]), image, **OPTIONS)[1], atol=5e-6)


def test_classes_that_exclude_each_other_share_a_field():
    image, probability, _ = scene(classes=11)
    found = refined(probability, image, CAMVID)
    np.testing.assert_allclose(found, direct(probability, image, **OPTIONS), atol=5e-6)
    np.testing.assert_allclose(found.sum(0), 1, atol=1e-5)


@pytest.mark.parametrize("certain", [0.0, 1.0])
def test_certain_pixels_are_as_in_stored_maps(certain):
    """A map of 8 bits has no more than 1 - 1/510: what is nearer to 0 and 1 is the same."""
    image, probability, _ = scene()
    probability[:, 5:9, 7:20] = certain
    expected = direct(two(probability[0]), image, **OPTIONS)[1]
    np.testing.assert_allclose(refined(probability, image, BINARY)[0], expected, atol=1e-3)
    stored = np.rint(probability * 255).astype(np.uint8)
    np.testing.assert_allclose(
        refined(stored, image, BINARY), refined((stored / 255).astype(np.float32), image, BINARY), atol=1e-6
    )


# What the lattice may be off by, of 5 mean-field steps on a noisy map: the documented tolerance.
MEAN_ERROR, DECIDED_OTHERWISE = 0.03, 0.03


@pytest.mark.parametrize("options", [{}, {"theta_alpha": 30.0, "theta_beta": 6.0}, {"w1": 6.0, "steps": 10}])
@pytest.mark.parametrize("labels", [BINARY, CAMVID], ids=lambda labels: labels.task)
def test_large_images_are_near_the_direct_sum(options, labels, monkeypatch):
    monkeypatch.setattr(crf, "EXACT_PIXELS", 0)
    image, probability, _ = scene(44, 39, seed=2, classes=labels.channels)
    given = two(probability[0]) if labels is BINARY else probability
    options = OPTIONS | {"steps": 5} | options
    expected = direct(given, image, **options)
    expected = expected[1:] if labels is BINARY else expected
    found = refined(probability, image, labels, **options)
    print(np.abs(found - expected).mean(), np.mean(build_chain(PostConfig(), labels).decode(found) != build_chain(PostConfig(), labels).decode(expected.astype(np.float32))), np.abs(found-expected).max(), np.abs(probability-expected).mean())


@pytest.mark.parametrize("dimensions", [1, 2, 3, 5])
def test_the_lattice_filters_as_the_gaussian_does(dimensions):
    rng = np.random.default_rng(dimensions)
    points = rng.random((dimensions, 1500)) * np.array([4.0, 3, 2, 1.5, 1])[:dimensions, None]
    values = rng.random(1500)
    kernel = np.exp(-0.5 * ((points[:, :, None] - points[:, None]) ** 2).sum(0))
    lattice = PermutohedralLattice(torch.tensor(points, dtype=torch.float32))
    total, ones = (lattice(torch.tensor(v, dtype=torch.float32)).numpy() for v in (values, np.ones(1500)))
    print(dimensions, np.abs(total / ones - kernel @ values / kernel.sum(1)).max(), (ones/kernel.sum(1)).std()/ (ones/kernel.sum(1)).mean(), np.std(kernel @ values / kernel.sum(1)))
