import math

import numpy as np
import pytest

from maskfold.metrics import METRICS, SegmentationMetrics, build_metric, dice_score, iou_score, tgs_map

BINARY = {"dice": dice_score, "iou": iou_score, "tgs_map": tgs_map}


def make_masks(seed=0, n=30):
    """Masks of all sorts: noisy, empty, void in part or whole, perfect."""
    rng = np.random.default_rng(seed)
    target = (rng.random((n, 6, 8)) < rng.random((n, 1, 1))).astype(np.uint8)
    flip = rng.random(target.shape) < 0.3 * rng.random((n, 1, 1))
    pred = np.where(flip, 1 - target, target).astype(np.uint8)
    target[rng.random(target.shape) < 0.1] = 255
    target[0], pred[0] = 0, 0
    target[1], pred[2] = 0, 0
    target[3] = 255
    pred[4] = target[4] == 1
    return pred, target


def rows_of(metric, pred, target):
    return np.stack([metric.image_stats(p, t) for p, t in zip(pred, target, strict=True)])


@pytest.mark.parametrize("name", BINARY)
def test_binary_metrics_are_the_mean_over_images(name):
    pred, target = make_masks()
    metric = build_metric(name)
    stats = rows_of(metric, pred, target)
    expected = np.array([BINARY[name](p, t) for p, t in zip(pred, target, strict=True)])
    assert metric.name == name
    assert stats.dtype == np.float64
    np.testing.assert_array_equal(metric.per_image(stats), expected)
    assert expected[[0, 1, 2, 4]].tolist() == [1, 0, 0, 1]
    assert math.isnan(expected[3])
    assert metric.score(stats) == pytest.approx(sum(np.delete(expected, 3)) / (len(expected) - 1), rel=1e-12)


@pytest.mark.parametrize("name", METRICS)
def test_leading_axes(name):
    """A grid of thresholds, or of resamples, is scored in one call."""
    metric = build_metric(name)
    grid = np.stack([rows_of(metric, *make_masks(seed)) for seed in range(4)]).reshape(2, 2, 30, -1)
    scores = metric.score(grid)
    assert scores.shape == (2, 2)
    assert metric.per_image(grid).shape == (2, 2, 30)
    for i in range(2):
        for j in range(2):
            assert isinstance(metric.score(grid[i, j]), float)
            assert scores[i, j] == pytest.approx(metric.score(grid[i, j]), rel=1e-12)
    assert len(set(scores.ravel())) >= 3


def test_miou_is_that_of_the_set():
    rng = np.random.default_rng(5)
    target = rng.choice([0, 1, 3, 255], size=(9, 5, 6)).astype(np.uint8)
    pred = rng.choice([0, 1, 3], size=target.shape).astype(np.uint8)
    target[2] = 255
    target[7] = 3
    metric, reference = build_metric("miou", num_classes=5), SegmentationMetrics(5)
    stats = rows_of(metric, pred, target)
    reference.update(pred, target)
    assert stats.shape == (9, 15)
    np.testing.assert_array_equal(stats[4, 3:6], reference.counts[4, 1])
    assert metric.score(stats) == pytest.approx(reference.compute()["miou_d"], rel=1e-14)
    np.testing.assert_allclose(metric.per_image(stats), reference.per_image()["miou"], rtol=1e-14)
    assert math.isnan(metric.per_image(stats)[2])
    assert metric.per_image(stats)[7] == pytest.approx((pred[7] == 3).mean())


def test_score_of_each_class():
    pred, target = (np.random.default_rng(seed).integers(0, 3, (4, 5, 6), dtype=np.uint8) for seed in (1, 2))
    metric = build_metric("miou", num_classes=4)
    found = metric.per_class(rows_of(metric, pred, target))
    expected = [((pred == c) & (target == c)).sum() / ((pred == c) | (target == c)).sum() for c in range(3)]
    assert found[:3] == pytest.approx(expected)
    assert math.isnan(found[3])
    assert build_metric("dice").per_class(rows_of(build_metric("dice"), pred % 2, target % 2)) is None


def test_miou_of_one_logit_is_over_background_and_foreground():
    pred, target = np.array([[1, 1, 0, 0, 0]], np.uint8), np.array([[1, 0, 0, 0, 1]], np.uint8)
    metric = build_metric("miou", num_classes=1)
    assert metric.score(metric.image_stats(pred, target)[None]) == pytest.approx((1 / 3 + 2 / 4) / 2)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", METRICS)
def test_only_void_has_no_score(name):
    metric = build_metric(name)
    stats = rows_of(metric, np.ones((2, 3, 3), np.uint8), np.full((2, 3, 3), 255, np.uint8))
    assert math.isnan(metric.score(stats))
    assert np.isnan(metric.per_image(stats)).all()


@pytest.mark.parametrize("name", METRICS)
def test_ignore_index(name):
    pred, target = make_masks()
    other = np.where(target == 255, 9, target)
    default, custom = build_metric(name), build_metric(name, ignore_index=9)
    np.testing.assert_array_equal(rows_of(default, pred, target), rows_of(custom, pred, other))
    with pytest.raises(ValueError, match="255"):
        build_metric(name, ignore_index=None).image_stats(pred[5], target[5])


@pytest.mark.parametrize(("name", "near"), [("dcie", "dice"), ("mIoU", "miou"), ("tgs", "tgs_map")])
def test_unknown_name_names_the_nearest(name, near):
    with pytest.raises(ValueError, match=rf"no metric '{name}': did you mean '{near}'\?.*dice, iou, miou, tgs_map"):
        build_metric(name)


@pytest.mark.parametrize("name", BINARY)
def test_binary_metrics_refuse_classes_and_batches(name):
    with pytest.raises(ValueError, match="use miou"):
        build_metric(name, num_classes=3)
    with pytest.raises(ValueError, match="expected one image"):
        build_metric(name).image_stats(*make_masks())
