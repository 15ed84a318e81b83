import math

import numpy as np
import pytest

from maskfold.errors import MaskfoldError
from maskfold.labels import Label, LabelSpec
from maskfold.metrics import (
    METRICS,
    Evaluation,
    SegmentationMetrics,
    build_metric,
    dice_score,
    gathered_stats,
    iou_score,
    tgs_map,
)

SCORES = {"dice": dice_score, "iou": iou_score, "tgs_map": tgs_map}
OPTIONS = {"f_beta": {"beta": 2}, "pooled_f_beta": {"beta": 0.5}}
BINARY = LabelSpec("binary", ("roof",))
CLASSES = LabelSpec("multiclass", ("ground", "roof", "tree", "water", "car"))
CLOUDS = LabelSpec("multilabel", ("fish", "flower", "gravel"))


def make_masks(seed=0, n=30):
    """Masks of all sorts: noisy, empty, void in part or whole, perfect."""
    rng = np.random.default_rng(seed)
    target = (rng.random((n, 6, 8)) < rng.random((n, 1, 1))).astype(np.uint8)
    flip = rng.random(target.shape) < 0.3 * rng.random((n, 1, 1))
    pred = np.where(flip, 1 - target, target).astype(np.uint8)
    valid = rng.random(target.shape) >= 0.1
    target[0], pred[0] = 0, 0
    target[1], pred[2] = 0, 0
    valid[3] = False
    pred[4] = target[4]
    return pred, target, valid


def make_layers(seed=0, n=12):
    """Masks (n, 3, 6, 8) of three classes that overlap, the last of them in few images."""
    rng = np.random.default_rng(seed)
    target = (rng.random((n, 3, 6, 8)) < [[[0.5]], [[0.3]], [[0.1]]]).astype(np.uint8)
    pred = np.where(rng.random(target.shape) < 0.2, 1 - target, target).astype(np.uint8)
    target[3:, 2], pred[5:, 2] = 0, 0
    target[1], pred[1] = 0, 0
    return pred, target, rng.random((n, 6, 8)) < 0.9


def rows_of(metric, pred, target, valid):
    labels = [Label(t, v) for t, v in zip(target, valid, strict=True)]
    found = [metric.image_stats(p, label) for p, label in zip(pred, labels, strict=True)]
    return gathered_stats(metric, [f"day{i // 4}_slice_{i:02}" for i in range(len(found))], found)


@pytest.mark.parametrize("name", SCORES)
def test_binary_metrics_are_the_mean_over_images(name):
    masks = make_masks()
    metric = build_metric(name, BINARY)
    stats = rows_of(metric, *masks)
    expected = np.array([SCORES[name](p, t, valid=v) for p, t, v in zip(*masks, strict=True)])
    assert metric.name == name
    assert stats.dtype == np.float64
    np.testing.assert_array_equal(metric.per_image(stats), expected)
    assert expected[[0, 1, 2, 4]].tolist() == [1, 0, 0, 1]
    assert math.isnan(expected[3])
    assert metric.score(stats) == pytest.approx(sum(np.delete(expected, 3)) / (len(expected) - 1), rel=1e-12)


@pytest.mark.parametrize("name", METRICS)
def test_leading_axes(name):
    """A grid of thresholds, or of resamples, is scored in one call."""
    metric = build_metric(name, BINARY, OPTIONS.get(name))
    grid = np.stack([rows_of(metric, *make_masks(seed)) for seed in range(4)]).reshape(2, 2, 30, -1)
    scores = metric.score(grid)
    assert scores.shape == (2, 2)
    assert metric.per_image(grid).shape == (2, 2, 30)
    for i in range(2):
        for j in range(2):
            assert isinstance(metric.score(grid[i, j]), float)
            assert scores[i, j] == pytest.approx(metric.score(grid[i, j]), rel=1e-12)
    assert len(set(scores.ravel())) >= 3


@pytest.mark.parametrize("name", ["dice", "iou"])
def test_overlapping_classes_are_scored_one_by_one(name):
    pred, target, valid = make_layers()
    metric = build_metric(name, CLOUDS)
    stats = rows_of(metric, pred, target, valid)
    expected = np.array(
        [
            [SCORES[name](p, t, valid=v) for p, t in zip(p_image, t_image, strict=True)]
            for p_image, t_image, v in zip(pred, target, valid, strict=True)
        ]
    )
    assert expected[1].tolist() == [1, 1, 1]  # empty in both
    np.testing.assert_allclose(metric.per_image(stats), expected.mean(1), rtol=1e-14)
    assert metric.score(stats) == pytest.approx(expected.mean(), rel=1e-12)
    assert metric.class_names == ("fish", "flower", "gravel")
    np.testing.assert_allclose(metric.per_class(stats), expected.mean(0), rtol=1e-14)
    grid = np.stack([stats, stats[::-1]])
    np.testing.assert_allclose(metric.score(grid), [expected.mean()] * 2)


def test_dice_of_exclusive_classes_leaves_out_the_background():
    rng = np.random.default_rng(7)
    pred, target = (rng.integers(0, 3, (5, 4, 6), dtype=np.uint8) for _ in range(2))
    target[2] = 0
    metric = build_metric("dice", CLASSES)
    stats = rows_of(metric, pred, target, np.ones(target.shape, bool))
    expected = [[dice_score(p == c, t == c) for c in (1, 2, 3, 4)] for p, t in zip(pred, target, strict=True)]
    assert metric.score(stats) == pytest.approx(np.mean(expected), rel=1e-12)
    assert metric.class_names == CLASSES.class_names[1:]
    np.testing.assert_allclose(metric.per_class(stats), np.mean(expected, 0))


def test_miou_of_overlapping_classes_is_that_of_the_set():
    pred, target, valid = make_layers()
    metric = build_metric("miou", CLOUDS)
    expected = [
        (p & t & valid).sum() / ((p | t) & valid).sum()
        for p, t in zip(pred.transpose(1, 0, 2, 3), target.transpose(1, 0, 2, 3), strict=True)
    ]
    stats = rows_of(metric, pred, target, valid)
    np.testing.assert_allclose(metric.per_class(stats), expected)
    assert metric.score(stats) == pytest.approx(np.mean(expected))


def test_miou_is_that_of_the_set():
    rng = np.random.default_rng(5)
    target = rng.choice([0, 1, 3], size=(9, 5, 6)).astype(np.uint8)
    pred = rng.choice([0, 1, 3], size=target.shape).astype(np.uint8)
    valid = rng.random(target.shape) < 0.8
    valid[2], valid[7] = False, True
    target[7] = 3
    metric, reference = build_metric("miou", CLASSES), SegmentationMetrics(CLASSES)
    stats = rows_of(metric, pred, target, valid)
    reference.update(pred, target, valid)
    assert stats.shape == (9, 15)
    np.testing.assert_array_equal(stats[4, 3:6], reference.counts[4, 1])
    assert metric.score(stats) == pytest.approx(reference.compute()["miou_d"], rel=1e-14)
    np.testing.assert_allclose(metric.per_image(stats), reference.per_image()["miou"], rtol=1e-14)
    assert math.isnan(metric.per_image(stats)[2])
    assert metric.per_image(stats)[7] == pytest.approx((pred[7] == 3).mean())


def test_score_of_each_class():
    pred, target = (np.random.default_rng(seed).integers(0, 3, (4, 5, 6), dtype=np.uint8) for seed in (1, 2))
    valid = np.ones(target.shape, bool)
    metric = build_metric("miou", CLASSES)
    found = metric.per_class(rows_of(metric, pred, target, valid))
    expected = [((pred == c) & (target == c)).sum() / ((pred == c) | (target == c)).sum() for c in range(3)]
    assert found[:3] == pytest.approx(expected)
    assert np.isnan(found[3:]).all()
    dice = build_metric("dice", BINARY)
    assert dice.per_class(rows_of(dice, pred % 2, target % 2, valid)).size == len(dice.class_names) == 0


def test_miou_of_a_binary_task_is_over_background_and_foreground():
    pred, target = np.array([[1, 1, 0, 0, 0]], np.uint8), np.array([[1, 0, 0, 0, 1]], np.uint8)
    metric = build_metric("miou", BINARY)
    stats = metric.image_stats(pred, Label.whole(target))[None]
    assert metric.score(stats) == pytest.approx((1 / 3 + 2 / 4) / 2)
    assert Evaluation(metric, ["a"], stats).class_lines().split() == ["roof", "0.3333", "background", "0.5000"]


@pytest.mark.parametrize("name", METRICS)
def test_a_metric_says_whether_its_score_follows_from_sums_over_the_images(name):
    metric = build_metric(name, BINARY, OPTIONS.get(name))
    stats = rows_of(metric, *make_masks())
    of_sums = metric.score(np.nansum(stats, axis=0, keepdims=True))
    assert metric.of_sums == (metric.score(stats) == pytest.approx(of_sums))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", METRICS)
def test_only_void_has_no_score(name):
    metric = build_metric(name, BINARY, OPTIONS.get(name))
    masks = np.ones((2, 3, 3), np.uint8)
    stats = rows_of(metric, masks, masks, np.zeros((2, 3, 3), bool))
    assert math.isnan(metric.score(stats))
    assert np.isnan(metric.per_image(stats)).all()
    evaluation = Evaluation(metric, ["a", "b"], stats)
    assert evaluation.line() == f"{name} cannot be computed: no pixel of the 2 images counts"
    assert all(math.isnan(bound) for bound in evaluation.interval())
    assert np.isnan(evaluation.per_image()["score"]).all()
    assert "nan" in evaluation.class_lines() or not metric.class_names


@pytest.mark.parametrize("name", ["dice", "iou"])
def test_only_void_has_no_score_in_any_class(name):
    metric = build_metric(name, CLOUDS)
    stats = metric.image_stats(
        np.ones((3, 4, 2), np.uint8), Label(np.ones((3, 4, 2), np.uint8), np.zeros((4, 2), bool))
    )
    assert stats.shape == (9,)
    assert np.isnan(metric.per_class(stats[None])).all()


class Half(METRICS["dice"]):
    """A user's own metric."""

    name = "half"


def test_a_metric_of_ones_own():
    assert isinstance(build_metric(f"{__name__}:Half", BINARY), Half)
    with pytest.raises(MaskfoldError, match="has no Third"):
        build_metric(f"{__name__}:Third", BINARY)


@pytest.mark.parametrize(("name", "near"), [("dcie", "dice"), ("miuo", "miou"), ("tgs_mpa", "tgs_map")])
def test_unknown_name_names_the_nearest(name, near):
    with pytest.raises(MaskfoldError, match=rf"no metric '{name}': did you mean {near}\?"):
        build_metric(name, BINARY)


@pytest.mark.parametrize("labels", [CLASSES, CLOUDS])
def test_tgs_map_is_for_binary_masks(labels):
    with pytest.raises(MaskfoldError, match=f"tgs_map scores binary masks, and the task is {labels.task}: use miou"):
        build_metric("tgs_map", labels)


@pytest.mark.parametrize("name", METRICS)
def test_one_image_at_a_time(name):
    pred, target, valid = make_masks()
    with pytest.raises(MaskfoldError, match="expected one image"):
        build_metric(name, BINARY, OPTIONS.get(name)).image_stats(pred, Label(target, valid))
