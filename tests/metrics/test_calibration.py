"""Calibration against scikit-learn, against loops over pixels, and by hand."""

import numpy as np
import pytest
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss

from maskfold.errors import MaskfoldError
from maskfold.labels import Label, LabelSpec
from maskfold.metrics import CalibrationMetrics

BINARY = LabelSpec("binary", ("building",))
MULTICLASS = LabelSpec("multiclass", ("sky", "road", "car"))
MULTILABEL = LabelSpec("multilabel", ("fish", "flower"))


def drawn(labels: LabelSpec, size: tuple[int, int], seed: int) -> tuple[np.ndarray, Label]:
    rng = np.random.default_rng(seed)
    probability = rng.beta(0.7, 1.1, (labels.channels, *size)).astype(np.float32)
    if labels.exclusive:
        probability /= probability.sum(0)
    values = rng.integers(0, labels.highest + 1, labels.mask_shape(size)).astype(np.uint8)
    return probability, Label(values, rng.random(size) < 0.8)


def looped_error(values, right, bins=15):
    """Guo et al. 2017, equation 3, bin by bin."""
    edges = np.linspace(0, 1, bins + 1)
    place = np.clip(np.digitize(values, edges[1:-1]), 0, bins - 1)
    total = 0.0
    for b in range(bins):
        inside = place == b
        if inside.any():
            total += inside.mean() * abs(values[inside].mean() - right[inside].mean())
    return total


def test_binary_agrees_with_scikit_learn():
    metrics = CalibrationMetrics(BINARY, bins=10)
    flat, truths = [], []
    for seed, size in enumerate([(13, 21), (8, 5)]):
        probability, label = drawn(BINARY, size, seed)
        metrics.update(probability, label)
        flat.append(probability[0][label.valid].astype(float))
        truths.append(label.values[label.valid])
    values, truth = np.concatenate(flat), np.concatenate(truths)
    found = metrics.compute()
    assert found["brier"] == pytest.approx(brier_score_loss(truth, values), rel=1e-9)
    share, mean = calibration_curve(truth, values, n_bins=10)
    curve = metrics.curve()
    of_class = curve[curve["class"] == "building"]
    assert of_class["share"].to_numpy() == pytest.approx(share)
    assert of_class["probability"].to_numpy() == pytest.approx(mean)
    assert of_class["pixels"].sum() == len(truth)
    assert found["sce"] == pytest.approx(looped_error(values, truth, 10))
    confidence, right = np.maximum(values, 1 - values), (values >= 0.5) == truth
    assert found["ece"] == pytest.approx(looped_error(confidence, right, 10))


def test_multiclass_agrees_with_loops():
    probability, label = drawn(MULTICLASS, (17, 9), 3)
    metrics = CalibrationMetrics(MULTICLASS)
    metrics.update(probability, label)
    values, truth = probability[:, label.valid].astype(float), label.values[label.valid]
    found = metrics.compute()
    each = [looped_error(values[c], truth == c) for c in range(3)]
    assert found["sce"] == pytest.approx(np.mean(each))
    assert found["ece"] == pytest.approx(looped_error(values.max(0), values.argmax(0) == truth))
    assert found["brier"] == pytest.approx(((values - np.eye(3)[truth].T) ** 2).sum(0).mean())


def test_multilabel_means_over_classes_and_uint8_is_255ths():
    probability, label = drawn(MULTILABEL, (6, 11), 4)
    levels = np.round(probability * 255).astype(np.uint8)
    metrics = CalibrationMetrics(MULTILABEL)
    metrics.update(levels, label)
    values, truth = levels[:, label.valid] / 255, label.values[:, label.valid]
    found = metrics.compute()
    assert found["sce"] == pytest.approx(np.mean([looped_error(values[c], truth[c]) for c in range(2)]))
    assert found["brier"] == pytest.approx(((values - truth) ** 2).mean())
    confidence, right = np.maximum(values, 1 - values).ravel(), ((values >= 0.5) == truth).ravel()
    assert found["ece"] == pytest.approx(looped_error(confidence, right))


def test_certain_and_right_is_zero_and_certain_and_wrong_is_one():
    truth = np.array([[0, 1, 1]], np.uint8)
    for probability, expected in ((truth, 0.0), (1 - truth, 1.0)):
        metrics = CalibrationMetrics(BINARY)
        metrics.update(probability[None].astype(np.float32), Label.whole(truth))
        assert set(metrics.compute().values()) == {expected}


def test_sums_of_rounded_weights_may_be_a_little_more_than_one():
    probability = np.full((1, 2, 3), np.float32(1.0000002))
    metrics = CalibrationMetrics(BINARY)
    metrics.update(probability, Label.whole(np.ones((2, 3), np.uint8)))
    assert set(metrics.compute().values()) == {0.0}


def test_merged_is_the_same_as_all_in_one_and_nothing_is_nan():
    one, two, both = (CalibrationMetrics(MULTICLASS) for _ in range(3))
    for metrics, seeds in ((one, [1]), (two, [2]), (both, [1, 2])):
        for seed in seeds:
            metrics.update(*drawn(MULTICLASS, (5, 7 + seed), seed))
    assert one.merge(two).compute() == pytest.approx(both.compute())
    assert np.isnan(list(CalibrationMetrics(BINARY).compute().values())).all()


def test_what_cannot_be_scored_is_refused():
    probability, label = drawn(BINARY, (4, 6), 0)
    with pytest.raises(MaskfoldError, match=r"\(1, 4, 5\).*\(1, 4, 6\)"):
        CalibrationMetrics(BINARY).update(probability[..., :5], label)
    with pytest.raises(MaskfoldError, match="expected 0 to 1"):
        CalibrationMetrics(BINARY).update(3 * probability, label)
    with pytest.raises(MaskfoldError, match="bins is 0"):
        CalibrationMetrics(BINARY, bins=0)
    with pytest.raises(MaskfoldError, match="cannot merge"):
        CalibrationMetrics(BINARY).merge(CalibrationMetrics(MULTICLASS))
