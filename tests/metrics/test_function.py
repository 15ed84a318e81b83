"""A plain function of two masks as a competition's metric."""

from functools import partial

import numpy as np
import pytest
from sklearn.metrics import matthews_corrcoef

from maskfold.errors import MaskfoldError
from maskfold.labels import Label, LabelSpec
from maskfold.metrics import build_metric
from maskfold.metrics.soft_loss import soft_loss

BINARY = LabelSpec("binary", ("roof",))


def correlation(mask, truth):
    """Matthews' correlation coefficient, nan for an empty truth."""
    return matthews_corrcoef(truth.ravel(), mask.ravel()) if truth.any() else float("nan")


def share_right(mask, truth, *, power=1):
    assert mask.dtype == truth.dtype == np.uint8
    return (mask == truth).mean() ** power


square_right = partial(share_right, power=2)


def two(mask, truth):
    return np.ones(2)


def test_the_mean_over_images():
    rng = np.random.default_rng(0)
    truths = [(rng.random(size) < 0.4).astype(np.uint8) for size in ((5, 8), (9, 4), (6, 6))]
    masks = [np.where(rng.random(t.shape) < 0.2, 1 - t, t).astype(np.uint8) for t in truths]
    truths[2][:] = 0
    metric = build_metric(f"{__name__}:correlation", BINARY)
    stats = np.stack([metric.image_stats(m, Label.whole(t)) for m, t in zip(masks, truths, strict=True)])
    expected = [matthews_corrcoef(t.ravel(), m.ravel()) for m, t in zip(masks, truths, strict=True)][:2]
    assert metric.name == "correlation"
    assert metric.score(stats) == pytest.approx(np.mean(expected))
    assert metric.costs is None
    assert [term["name"] for term in soft_loss(metric)] == ["bce", "jml"]


def test_classes_options_and_pixels_that_do_not_count():
    labels = LabelSpec("multilabel", ("fish", "flower"))
    metric = build_metric(f"{__name__}:share_right", labels, {"power": 2})
    truth = np.zeros((2, 3, 4), np.uint8)
    mask, valid = truth.copy(), np.ones((3, 4), bool)
    mask[1], valid[0] = 1, False
    assert metric.image_stats(mask, Label(truth, valid)) == pytest.approx([((12 + 4) / 24) ** 2])
    assert np.isnan(metric.score(metric.image_stats(mask, Label(truth, np.zeros((3, 4), bool)))[None]))


def test_what_is_no_score():
    metric = build_metric(f"{__name__}:two", BINARY)
    with pytest.raises(MaskfoldError, match="two returned ndarray for a mask of"):
        metric.image_stats(np.zeros((2, 3), np.uint8), Label.whole(np.zeros((2, 3), np.uint8)))
    with pytest.raises(MaskfoldError, match="BINARY is not a subclass of CompetitionMetric"):
        build_metric(f"{__name__}:BINARY", BINARY)


def test_options_that_a_function_does_not_take_are_refused_at_once():
    with pytest.raises(MaskfoldError, match=r"share_right cannot be made with the options \{'powr': 2\}: .*'powr'"):
        build_metric(f"{__name__}:share_right", BINARY, {"powr": 2})
    with pytest.raises(MaskfoldError, match=r"matthews_corrcoef cannot be made with the options \{'y_true': 1\}"):
        build_metric("sklearn.metrics:matthews_corrcoef", BINARY, {"y_true": 1})


def test_what_is_called_like_a_function_has_the_name_of_the_config():
    metric = build_metric(f"{__name__}:square_right", BINARY)
    assert metric.name == "square_right"
    truth = np.eye(4, 6, dtype=np.uint8)
    assert metric.image_stats(np.zeros_like(truth), Label.whole(truth)) == pytest.approx([(20 / 24) ** 2])
