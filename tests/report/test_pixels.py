import math

import numpy as np
import pytest

from maskfold.labels import Label, LabelSpec
from maskfold.report.pixels import confident_disagreement, mean_entropy

BINARY = LabelSpec("binary", ("roof",))
CLASSES = LabelSpec("multiclass", ("a", "b", "c"))
CLOUDS = LabelSpec("multilabel", ("fish", "flower"))


def test_confident_patches_are_found_and_borders_are_not():
    truth = np.zeros((20, 30), np.uint8)
    truth[2:10, 2:10] = 1
    probability = np.full((1, 20, 30), 0.02, np.float32)
    probability[0, 2:10, 2:10] = 0.97
    probability[0, 10:12, 2:10] = 0.99  # a border two pixels further out
    assert not np.any(confident_disagreement(BINARY, probability, Label.whole(truth)))

    probability[0, 11:17, 15:22] = 0.96
    unlabelled, unfound = confident_disagreement(BINARY, probability, Label.whole(truth))
    assert (unlabelled.sum(), unfound.sum()) == (42, 0)
    assert unlabelled[11:17, 15:22].all()
    probability[0, 2:9, 2:8] = 0.03
    unlabelled, unfound = confident_disagreement(BINARY, probability, Label.whole(truth))
    assert (unlabelled.sum(), unfound.sum()) == (42, 42)
    probability[0, 11:17, 15:22] = 0.9
    assert not confident_disagreement(BINARY, probability, Label.whole(truth))[0].any()
    assert not confident_disagreement(BINARY, probability, Label(truth, np.zeros((20, 30), bool)))[1].any()


def test_confident_patches_of_several_classes():
    truth = np.repeat(np.arange(3, dtype=np.uint8), 10)[None].repeat(20, 0)
    label = truth.copy()
    label[0:6, 0:6] = 2
    label[8:14, 11:18] = 0
    probability = np.stack([np.where(label == c, 0.96, 0.02) for c in range(3)]).astype(np.float32)
    unlabelled, unfound = confident_disagreement(CLASSES, probability, Label.whole(truth))
    assert (unlabelled.sum(), unfound.sum()) == (36, 42)


def test_entropy():
    scored = np.array([[True, True, False]])
    binary = np.array([[[0.5, 1.0, 0.5]]], np.float32)
    assert mean_entropy(BINARY, binary, scored) == pytest.approx(0.5)
    p = 0.2
    expected = -(p * math.log2(p) + (1 - p) * math.log2(1 - p))
    assert mean_entropy(BINARY, np.full((1, 2, 2), p, np.float32), np.ones((2, 2), bool)) == pytest.approx(expected)
    even = np.full((4, 1, 3), 0.25, np.float32)
    assert mean_entropy(LabelSpec("multiclass", tuple("abcd")), even, scored) == pytest.approx(1)
    assert mean_entropy(BINARY, binary, np.zeros((1, 3), bool)) == 0


def test_classes_that_overlap_are_looked_at_one_by_one():
    rng = np.random.default_rng(0)
    truth, probability = rng.integers(0, 2, (2, 12, 20), np.uint8), rng.random((2, 12, 20), np.float32)
    truth[0, 2:9, 3:9], probability[0, 2:9, 3:9] = 0, 0.97
    truth[1, 1:8, 12:18], probability[1, 1:8, 12:18] = 1, 0.01
    valid = rng.random((12, 20)) < 0.99
    entropies = [mean_entropy(BINARY, p[None], valid) for p in probability]
    assert mean_entropy(CLOUDS, probability, valid) == pytest.approx(np.mean(entropies))
    unlabelled, unfound = confident_disagreement(CLOUDS, probability, Label.whole(truth))
    assert unlabelled[3:8, 4:8].all()
    assert unfound[2:7, 13:17].all()
    assert not unlabelled[:, 12:].any()
    assert not unfound[:, :9].any()
