"""Many sets at once: the same intervals as one after the other."""

import numpy as np
import pytest

from maskfold.labels import LabelSpec
from maskfold.metrics import CompetitionMetric, bootstrap_interval, build_metric, paired_bootstrap, resampled_scores
from maskfold.metrics.bootstrap import percentiles
from maskfold.metrics.resamples import weighted_score

BINARY = LabelSpec("binary", ("a",))
CLASSES = LabelSpec("multiclass", ("ground", "a", "b"))


class LowestDice(CompetitionMetric):
    """A score that is neither a mean nor of sums: a low quantile of the images' scores."""

    name = "lowest"

    def image_stats(self, mask, label):
        raise NotImplementedError

    def per_image(self, stats):
        return stats[..., 0]

    def score(self, stats):
        return np.quantile(self.per_image(stats), 0.1, axis=-1)


def metric_of(name):
    if name == "lowest":
        return LowestDice(BINARY)
    return build_metric(name, CLASSES if name == "miou" else BINARY)


def drawn_sets(name, images=37):
    rng = np.random.default_rng(4)
    columns = {"miou": 9, "dice": 3, "pooled_dice": 3, "lowest": 1}[name]
    sets = [rng.integers(1, 90 + 40 * number, (images, columns)).astype(float) for number in range(3)]
    if name in ("dice", "pooled_dice"):  # images without a pixel that counts, not the same in all sets
        sets[0][5] = sets[2][8] = sets[2][9] = np.nan
    return sets


@pytest.mark.parametrize("name", ["dice", "pooled_dice", "miou", "lowest"])
@pytest.mark.parametrize("grouped", [False, True])
def test_the_same_as_one_after_the_other(name, grouped):
    metric, sets = metric_of(name), drawn_sets(name)
    groups = [f"scene{number // 4}" for number in range(37)] if grouped else None
    found = resampled_scores(metric, sets, groups=groups)
    assert found.shape == (3, 1000)
    for stats, scores in zip(sets, found, strict=True):
        assert percentiles(scores) == pytest.approx(bootstrap_interval(stats, metric.score, groups=groups), abs=1e-12)
    pair = paired_bootstrap(sets[1], sets[2], metric.score, groups=groups)
    assert percentiles(found[1] - found[2]) == pytest.approx((pair.low, pair.high), abs=1e-12)


def test_one_image_or_one_group_says_nothing():
    metric, sets = metric_of("dice"), drawn_sets("dice")
    assert np.isnan(resampled_scores(metric, [stats[:1] for stats in sets])).all()
    assert np.isnan(resampled_scores(metric, sets, groups=["same"] * 37)).all()


def test_a_set_without_a_score_has_none():
    found = resampled_scores(metric_of("dice"), [np.full((6, 3), np.nan), np.ones((6, 3))])
    assert np.isnan(found[0]).all()
    assert (found[1] == 0.5).all()


@pytest.mark.parametrize("name", ["dice", "miou", "lowest"])
def test_images_without_weight_have_no_part_in_a_score(name):
    """Nor in its interval: a resample that holds no others has no score."""
    metric, stats = metric_of(name), drawn_sets(name)[1][:3]
    own = metric.score(stats[1:2])
    assert weighted_score(metric, stats, np.array([0.0, 0.7, 0.0])) == pytest.approx((own, own, own))
