"""Means and pools of Dice, IoU and F-beta, against scikit-learn and sums of pixels."""

import numpy as np
import pytest
from sklearn.metrics import f1_score, fbeta_score, jaccard_score

from maskfold.errors import MaskfoldError
from maskfold.labels import Label, LabelSpec
from maskfold.metrics import Evaluation, bootstrap_interval, build_metric, paired_bootstrap
from maskfold.metrics.soft_loss import soft_loss

BINARY = LabelSpec("binary", ("ink",))
FORMS = LabelSpec("multilabel", ("fish", "flower", "gravel"))
EXCLUSIVE = LabelSpec("multiclass", ("ground", "roof", "tree"))


@pytest.fixture
def masks():
    """Predictions and truths of two sizes, with an image that is empty in both, and one void pixel column."""
    rng = np.random.default_rng(4)
    truths = [(rng.random((5, 7)) < share).astype(np.uint8) for share in (0.6, 0.1, 0.4)]
    truths += [(rng.random((3, 11)) < 0.5).astype(np.uint8), np.zeros((4, 9), np.uint8)]
    predicted = [np.where(rng.random(t.shape) < 0.25, 1 - t, t).astype(np.uint8) for t in truths[:-1]]
    predicted.append(np.zeros((4, 9), np.uint8))
    valid = [np.ones(t.shape, bool) for t in truths]
    valid[0][:, 3] = False
    return predicted, truths, valid


def rows_of(metric, predicted, truths, valid):
    images = zip(predicted, truths, valid, strict=True)
    return np.stack([metric.image_stats(p, Label(np.where(v, t, 0), v)) for p, t, v in images])


def flat(masks):
    predicted, truths, valid = masks
    return [np.concatenate([m[v] for m, v in zip(each, valid, strict=True)]) for each in (truths, predicted)]


REFERENCES = {
    "pooled_dice": ({}, f1_score),
    "pooled_iou": ({}, jaccard_score),
    "pooled_f_beta": ({"beta": 0.5}, lambda t, p: fbeta_score(t, p, beta=0.5)),
}


@pytest.mark.parametrize("name", REFERENCES)
def test_pooled_scores_are_of_all_pixels_together(name, masks):
    options, reference = REFERENCES[name]
    metric = build_metric(name, BINARY, options)
    stats = rows_of(metric, *masks)
    assert metric.score(stats) == pytest.approx(reference(*flat(masks)), rel=1e-12)
    assert metric.score(stats) != pytest.approx(np.nanmean(metric.per_image(stats)), abs=1e-3)
    assert metric.per_image(stats)[-1] == 1  # nothing there, nothing found
    grid = np.stack([stats, stats[[0, 0, 1, 2, 3]]])
    assert metric.score(grid)[1] == pytest.approx(metric.score(grid[1]))


def test_a_void_image_adds_nothing_to_the_pool(masks):
    metric = build_metric("pooled_dice", BINARY)
    stats = rows_of(metric, *masks)
    void = rows_of(metric, [np.ones((2, 3), np.uint8)], [np.ones((2, 3), np.uint8)], [np.zeros((2, 3), bool)])
    assert metric.score(np.concatenate([stats, void])) == metric.score(stats)
    assert np.isnan(metric.per_image(void)).all()


@pytest.mark.parametrize("beta", [0.5, 2])
def test_f_beta_is_the_mean_over_images(beta, masks):
    metric = build_metric("f_beta", BINARY, {"beta": beta})
    stats = rows_of(metric, *masks)
    expected = [fbeta_score(t[v], p[v], beta=beta) for p, t, v in zip(*masks, strict=True) if t.any()]
    np.testing.assert_allclose(metric.per_image(stats), [*expected, 1], rtol=1e-12)
    assert metric.score(stats) == pytest.approx(np.mean([*expected, 1]))


def test_beta_of_one_half_cares_for_false_positives():
    truth = np.zeros((4, 10), np.uint8)
    truth[:, :5] = 1
    more, less = truth.copy(), truth.copy()
    more[:, 5:7], less[:, 3:5] = 1, 0
    metric = build_metric("f_beta", BINARY, {"beta": 0.5})
    scores = metric.per_image(rows_of(metric, [more, less], [truth] * 2, [np.ones(truth.shape, bool)] * 2))
    assert scores[1] > scores[0]
    assert metric.costs == pytest.approx((0.8, 0.2))
    assert soft_loss(metric)[1]["options"] == pytest.approx({"alpha": 0.8, "beta": 0.2})


@pytest.mark.parametrize("name", ["dice", "iou", "f_beta"])
def test_both_empty_is_what_the_profile_says(name, masks):
    beta = {"beta": 2} if name == "f_beta" else {}
    one, nothing = (build_metric(name, BINARY, {**beta, "empty": empty}) for empty in (1, 0))
    stats = rows_of(one, *masks)
    assert one.per_image(stats)[-1] == 1
    assert nothing.per_image(stats)[-1] == 0
    assert one.score(stats) - nothing.score(stats) == pytest.approx(1 / 5)
    left_out = build_metric(name, BINARY, {**beta, "empty": None})
    assert np.isnan(left_out.per_image(stats)[-1])
    assert left_out.score(stats) == pytest.approx(one.per_image(stats)[:-1].mean())
    with pytest.raises(MaskfoldError, match=f"{name} has empty: 0.5; expected 1, 0, or null"):
        build_metric(name, BINARY, {**beta, "empty": 0.5})


def layers(seed=0, n=6):
    rng = np.random.default_rng(seed)
    truth = (rng.random((n, 3, 6, 8)) < [[[0.5]], [[0.3]], [[0.1]]]).astype(np.uint8)
    return np.where(rng.random(truth.shape) < 0.2, 1 - truth, truth).astype(np.uint8), truth


@pytest.mark.parametrize("name", ["dice", "pooled_dice", "iou", "pooled_iou", "miou"])
def test_weights_of_classes(name):
    predicted, truth = layers()
    weights = {"gravel": 4, "fish": 1, "flower": 0}
    plain, weighted = (build_metric(name, FORMS, options) for options in ({}, {"weights": weights}))
    stats = rows_of(plain, predicted, truth, np.ones((6, 6, 8), bool))
    of_class = plain.per_class(stats)
    assert plain.score(stats) == pytest.approx(of_class.mean())
    assert weighted.score(stats) == pytest.approx((of_class[0] + 4 * of_class[2]) / 5)
    np.testing.assert_allclose(weighted.per_class(stats), of_class)


@pytest.mark.parametrize("empty", [0, 1, None])
def test_of_images_without_a_class_its_own_score_is_what_the_profile_says(empty):
    """Flowers are in two of six images; in the others none is found either."""
    predicted, truth = layers()
    predicted[:4, 1], truth[:4, 1] = 0, 0
    metric = build_metric("dice", FORMS, {"empty": empty})
    stats = rows_of(metric, predicted, truth, np.ones((6, 6, 8), bool))
    there = np.mean([f1_score(t.ravel(), p.ravel()) for p, t in zip(predicted[4:, 1], truth[4:, 1], strict=True)])
    assert metric.per_class(stats)[1] == pytest.approx(there if empty is None else (4 * empty + 2 * there) / 6)


def test_pooled_classes_are_scored_apart_and_without_background():
    rng = np.random.default_rng(3)
    predicted, truth = (rng.integers(0, 3, (4, 5, 6), dtype=np.uint8) for _ in range(2))
    metric = build_metric("pooled_iou", EXCLUSIVE)
    stats = rows_of(metric, predicted, truth, np.ones(truth.shape, bool))
    expected = jaccard_score(truth.ravel(), predicted.ravel(), average=None)[1:]
    np.testing.assert_allclose(metric.per_class(stats), expected)
    assert metric.score(stats) == pytest.approx(expected.mean())
    assert metric.class_names == ("roof", "tree")


def test_a_class_that_is_nowhere_leaves_the_pool_with_its_weight():
    predicted, truth = layers()
    predicted[:, 1], truth[:, 1] = 0, 0
    weights = {"fish": 1, "flower": 7, "gravel": 3}
    metric = build_metric("pooled_dice", FORMS, {"weights": weights})
    stats = rows_of(metric, predicted, truth, np.ones((6, 6, 8), bool))
    of_class = metric.per_class(stats)
    assert np.isnan(of_class[1])
    assert metric.score(stats) == pytest.approx((of_class[0] + 3 * of_class[2]) / 4)


@pytest.mark.parametrize("weights", [{"fish": 1}, [1, 2, 3], {"fish": 0, "flower": 0, "gravel": 0}, {"a": 1}])
def test_weights_that_do_not_fit(weights):
    with pytest.raises(MaskfoldError, match="each of the classes fish: 1, flower: 1, gravel: 1"):
        build_metric("dice", FORMS, {"weights": weights})


def test_options_that_do_not_fit():
    with pytest.raises(MaskfoldError, match=r"the metric f_beta cannot be made with the options \{\}.*beta"):
        build_metric("f_beta", BINARY)
    with pytest.raises(MaskfoldError, match=r"the metric dice cannot be made with the options .*bta"):
        build_metric("dice", BINARY, {"bta": 1})
    with pytest.raises(MaskfoldError, match="has beta: 0; expected a number above 0"):
        build_metric("f_beta", BINARY, {"beta": 0})


def test_a_pool_has_an_interval_and_can_be_compared(masks):
    """The bootstrap draws rows, whose sums are the pool of the drawn images."""
    metric = build_metric("pooled_dice", BINARY)
    stats = rows_of(metric, *masks)
    worse = stats.copy()
    worse[:, 0] = np.floor(worse[:, 0] / 2)
    low, high = bootstrap_interval(stats, metric.score, repeats=200)
    assert low < metric.score(stats) < high
    assert paired_bootstrap(stats, worse, metric.score, repeats=200).low > 0
    assert Evaluation(metric, list("abcde"), stats).line().startswith("pooled_dice 0.")
