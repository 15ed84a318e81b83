"""The score of images that look like test images, beside the plain one."""

import numpy as np
import pytest
from tests.checks.conftest import write_competition

from maskfold.checks.shift import likeness_to_test
from maskfold.errors import InferenceError
from maskfold.labels import LabelSpec
from maskfold.metrics import Evaluation, build_metric
from maskfold.metrics.resamples import weighted_score
from maskfold.scoring.likeness import Likeness, measure_likeness

ROOF = LabelSpec("binary", ("roof",))


def counts(n, seed=0):
    return np.random.default_rng(seed).integers(1, 50, (n, 3)).astype(float)


@pytest.mark.parametrize("groups", [None, [f"g{n % 7}" for n in range(30)]])
def test_weighted_scores_of_each_kind_by_hand(groups):
    stats, weights = counts(30), np.random.default_rng(1).integers(0, 4, 30).astype(float)
    tp, fp, fn = stats.T
    dice = 2 * tp / (2 * tp + fp + fn)
    found = weighted_score(build_metric("dice", ROOF), stats, weights, groups=groups)
    assert found[0] == pytest.approx(np.average(dice, weights=weights))
    assert found[1] < found[0] < found[2]
    pooled = weighted_score(build_metric("pooled_dice", ROOF), stats, weights)
    sums = weights @ stats
    assert pooled[0] == pytest.approx(2 * sums[0] / (2 * sums[0] + sums[1] + sums[2]))

    class Own(type(build_metric("dice", ROOF))):
        """A score of another kind: of images repeated as often as they count it is the same."""

        def score(self, stats):
            return np.median(self.per_image(stats), axis=-1)

    own = weighted_score(Own(ROOF), stats, weights, repeats=50)
    assert own[0] == pytest.approx(np.median(np.repeat(dice, weights.astype(int))), abs=0.02)
    even = weighted_score(build_metric("dice", ROOF), stats, np.full(30, 2.5))
    assert even[0] == pytest.approx(dice.mean())


def test_odds_are_ratios_of_densities():
    """Training images around 0, test images around 1, both of spread 1: the ratio is exp(x - 1/2)."""
    rng = np.random.default_rng(0)
    train, test = rng.normal(0, 1, (4000, 1)), rng.normal(1, 1, (4000, 1))
    weights, auc = likeness_to_test(train, test)
    expected = np.exp((train[:, 0] - 0.5).clip(-np.log(10), np.log(10)))
    np.testing.assert_allclose(weights, expected / expected.mean(), rtol=0.25)
    assert auc == pytest.approx(0.76, abs=0.02)  # Phi(1 / sqrt 2)
    assert np.average(train[:, 0], weights=weights) == pytest.approx(1, abs=0.15), "they look like the test images"
    assert likeness_to_test(train, rng.normal(0, 1, (4000, 1)))[0] == pytest.approx(np.ones(4000), abs=0.2)


def test_a_competition_whose_test_images_are_brighter(tmp_path):
    rng = np.random.default_rng(0)

    def images(levels):
        return {f"{n:02}": np.full((8, 9, 3), level, np.uint8) + rng.integers(0, 9, (8, 9, 3)).astype(np.uint8)
                for n, level in enumerate(levels)}  # fmt: skip

    train = images(np.linspace(20, 200, 45).astype(int))
    competition = write_competition(tmp_path, train, dict.fromkeys(train, ""), images(rng.integers(120, 200, 45)))
    found = measure_likeness(competition)
    assert found.auc > 0.6
    assert found.weights["44"] > 2 * found.weights["05"]
    ids = sorted(train)
    stats = np.stack([np.arange(45.0), 45 - np.arange(45.0), np.zeros(45)], 1)  # brighter images score higher
    evaluation = Evaluation(build_metric("dice", ROOF), ids, stats)
    line = found.line(evaluation)
    score = float(line.split("dice ")[1].split()[0])
    assert score > evaluation.score + 0.05
    assert "of 45 images; colours tell training from test images with an AUC" in line
    even = Likeness(dict.fromkeys(ids, 1.0), 0.5).line(evaluation)
    assert f"dice {evaluation.score:.4f}" in even
    assert "as good as 45 of 45" in even


def test_too_few_images_are_refused(competition):
    with pytest.raises(InferenceError, match="there are 18 and 5: leave out --like-test"):
        measure_likeness(competition)
