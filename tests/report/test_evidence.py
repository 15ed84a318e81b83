"""The picture from which the page draws other thresholds: every pixel's probability and truth, exactly."""

import io

import numpy as np
from PIL import Image

from maskfold.labels import Label, LabelSpec
from maskfold.report.evidence import encode_evidence, evidence, layer_names


def stored(layers, side=64, budget=1e9):
    return np.array(Image.open(io.BytesIO(encode_evidence(layers, side, budget))).convert("RGB"))[..., 0]


def test_thresholds_of_the_stored_levels_are_those_of_the_probabilities():
    rng = np.random.default_rng(4)
    probability = rng.random((1, 30, 22), np.float32)
    probability[0, 0, :3] = 0, 1, 0.5
    truth = Label(rng.integers(0, 2, (30, 22)).astype(np.uint8), rng.random((30, 22)) > 0.2)
    found = stored(evidence(LabelSpec("binary", ("roof",)), probability, truth, truth.values))
    assert found.shape == (30, 22)
    for step in range(1, 64):
        assert ((found >> 2 >= step) == (probability[0] >= step / 64)).all()
    assert ((found & 1) == truth.values).all()
    assert ((found >> 1 & 1) == truth.valid).all()


def test_a_layer_for_each_class_that_may_overlap():
    clouds = LabelSpec("multilabel", ("fish", "flower", "gravel"))
    probability = np.linspace(0, 1, 3 * 4 * 5, dtype=np.float32).reshape(3, 4, 5)
    truth = Label.whole((np.arange(60).reshape(3, 4, 5) % 3 == 0).astype(np.uint8))
    assert layer_names(clouds) == ["fish", "flower", "gravel"]
    found = stored(evidence(clouds, probability, truth, truth.values)).reshape(3, 4, 5)
    assert ((found & 1) == truth.values).all()
    assert ((found >> 2) == (probability * 64).astype(int).clip(max=63)).all()


def test_of_many_classes_any():
    many = LabelSpec("multilabel", tuple("abcdefghij"))
    probability, values = np.zeros((10, 2, 3), np.float32), np.zeros((10, 2, 3), np.uint8)
    probability[7, 1, 2], values[4, 0, 1] = 0.75, 1
    found = stored(evidence(many, probability, Label.whole(values), values))
    assert layer_names(many) == ["any class"]
    assert (found >> 2).tolist() == [[0, 0, 0], [0, 0, 48]]
    assert (found & 1).tolist() == [[0, 1, 0], [0, 0, 0]]


def test_exclusive_classes_are_right_or_wrong():
    street = LabelSpec("multiclass", ("sky", "road", "car"))
    probability = np.array([[[0.5, 0.1, 0.2]], [[0.25, 0.8, 0.2]], [[0.25, 0.1, 0.6]]], np.float32)
    truth = Label(np.array([[0, 2, 2]], np.uint8), np.array([[True, True, False]]))
    found = evidence(street, probability, truth, np.array([[0, 1, 2]], np.uint8))
    assert (found[0] >> 2).tolist() == [[32, 51, 38]]
    assert (found[0] & 1).tolist() == [[1, 0, 1]]
    assert (found[0] >> 1 & 1).tolist() == [[1, 1, 0]]


def test_what_does_not_fit_loses_levels_then_pixels_but_never_the_truth():
    rng = np.random.default_rng(1)
    layers = rng.integers(0, 256, (1, 80, 60), np.uint8)
    whole, fewer, smaller = (stored(layers, 80, budget) for budget in (1e6, 4500, 1500))
    assert (whole == layers[0]).all()
    assert fewer.shape == (80, 60)
    assert (fewer & 3 == layers[0] & 3).all()
    assert set(np.unique(fewer >> 2)) == set(range(0, 64, 4))
    assert (fewer >> 4 == layers[0] >> 4).all()
    assert smaller.shape in {(40, 30), (20, 15)}
