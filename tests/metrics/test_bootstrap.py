import itertools
import math

import numpy as np
import pytest
from scipy.special import stdtrit

from maskfold.errors import MaskfoldError
from maskfold.labels import LabelSpec
from maskfold.metrics import bootstrap as module
from maskfold.metrics import bootstrap_interval, build_metric, paired_bootstrap

BINARY = LabelSpec("binary", ("roof",))


def mean_score(stats):
    return stats[..., 0].mean(-1)


def column(values):
    return np.asarray(values, dtype=np.float64)[:, None]


def test_interval_of_a_mean_is_the_normal_one():
    """For many values the percentile interval is mean -+ 1.96 sd / sqrt(n)."""
    values = np.random.default_rng(1).gamma(3.0, size=800)
    low, high = bootstrap_interval(column(values), mean_score, repeats=4000)
    half = 1.959964 * values.std() / math.sqrt(len(values))
    assert (low, high) == pytest.approx((values.mean() - half, values.mean() + half), abs=0.06 * half)
    narrow = bootstrap_interval(column(values), mean_score, repeats=4000, confidence=0.5)
    assert narrow[1] - narrow[0] == pytest.approx(2 * 0.67449 * half / 1.959964, rel=0.08)


def test_coverage():
    """Of 300 sets of 60 images, some 90 % of the intervals hold the true mean 0.75 (binomial: 270 -+ 5)."""
    rng = np.random.default_rng(0)
    hits = 0
    for trial in range(300):
        low, high = bootstrap_interval(column(rng.beta(3, 1, 60)), mean_score, confidence=0.9, repeats=300, seed=trial)
        hits += low <= 0.75 <= high
    assert 250 <= hits <= 288


def test_seed_decides_and_memory_does_not(monkeypatch):
    stats = np.random.default_rng(2).integers(1, 50, (37, 3)).astype(float)
    score = build_metric("dice", BINARY).score
    first = bootstrap_interval(stats, score, seed=7)
    assert first == bootstrap_interval(stats, score, seed=7)
    assert first != bootstrap_interval(stats, score, seed=8)
    sizes = []
    monkeypatch.setattr(module, "CHUNK_VALUES", 1000)
    assert first == bootstrap_interval(stats, lambda rows: sizes.append(rows.size) or score(rows), seed=7)
    assert max(sizes) <= 1000
    assert sum(sizes) == 1000 * stats.size


def test_groups_are_drawn_together():
    """Five copies of each scene: as groups the interval is that of the scenes, as images far too narrow."""
    scenes = np.random.default_rng(3).random(60)
    order = np.random.default_rng(4).permutation(300)
    values, groups = np.repeat(scenes, 5)[order], np.repeat([f"scene {i}" for i in range(60)], 5)[order]
    low, high = bootstrap_interval(column(scenes), mean_score, repeats=3000)
    grouped = bootstrap_interval(column(values), mean_score, repeats=3000, groups=groups)
    images = bootstrap_interval(column(values), mean_score, repeats=3000)
    assert grouped[1] - grouped[0] == pytest.approx(high - low, rel=0.08)
    assert images[1] - images[0] == pytest.approx((high - low) / math.sqrt(5), rel=0.08)


def test_a_group_brings_all_its_images():
    seen = set()

    def remember(rows):
        seen.add(tuple(sorted(rows[0, :, 0])))
        return rows[..., 0].mean(-1)

    bootstrap_interval(column([1, 2, 3]), remember, groups=["b", "a", "b"], repeats=200)
    assert seen == {(1, 2, 3), (1, 1, 3, 3), (2, 2)}


def test_pairing_finds_what_separate_intervals_hide():
    rng = np.random.default_rng(5)
    hardness = rng.random(200)
    a, b = column(hardness + 0.02 + rng.normal(0, 0.03, 200)), column(hardness)
    result = paired_bootstrap(a, b, mean_score, repeats=2000)
    assert result.difference == pytest.approx(a.mean() - b.mean())
    assert 0 < result.low < result.difference < result.high
    assert result.high - result.low == pytest.approx(2 * 1.96 * (a - b).std() / math.sqrt(200), rel=0.1)
    assert result.share_better > 0.99
    separate = [bootstrap_interval(stats, mean_score) for stats in (a, b)]
    assert separate[0][0] < separate[1][1]  # they overlap
    swapped = paired_bootstrap(b, a, mean_score, repeats=2000)
    assert (swapped.low, swapped.high) == pytest.approx((-result.high, -result.low))
    assert swapped.share_better < 0.01


def test_paired_with_itself_and_by_groups():
    stats = np.random.default_rng(6).random((20, 1))
    assert paired_bootstrap(stats, stats, mean_score) == (0, 0, 0, 0.5)
    result = paired_bootstrap(stats + 0.25, stats, mean_score, groups=np.arange(20) // 3)
    assert tuple(result) == pytest.approx((0.25, 0.25, 0.25, 1.0))


@pytest.mark.filterwarnings("error")
def test_one_image_or_one_group_has_no_interval():
    scores = np.array([[0.25], [0.5], [1.0]])
    for rows, groups in ((scores[:1], None), (scores, ["a"] * 3)):
        assert all(math.isnan(x) for x in bootstrap_interval(rows, mean_score, groups=groups))
        difference, *unknown = paired_bootstrap(rows + 0.125, rows, mean_score, groups=groups)
        assert difference == 0.125
        assert all(math.isnan(x) for x in unknown)
    low, high = bootstrap_interval(scores, mean_score, groups=["a", "b", "b"])
    assert (low, high) == (0.25, 0.75)


@pytest.mark.filterwarnings("error")
def test_void_images_and_sets_without_score():
    metric = build_metric("dice", BINARY)
    stats = np.array([[5, 1, 2], [np.nan] * 3, [7, 0, 3]])
    low, high = bootstrap_interval(stats, metric.score)  # resamples of void rows only are left out
    assert (low, high) == pytest.approx((10 / 13, 14 / 17))
    better = paired_bootstrap(stats * [2, 1, 1], stats, metric.score)
    assert better.share_better == 1.0
    nothing = np.full((4, 3), np.nan)
    assert all(math.isnan(x) for x in bootstrap_interval(nothing, metric.score))
    assert all(math.isnan(x) for x in paired_bootstrap(nothing, nothing, metric.score))


@pytest.mark.parametrize(
    ("stats", "arguments", "message"),
    [
        (np.zeros((0, 3)), {}, "at least one image"),
        (np.zeros(5), {}, r"expected \(n, k\)"),
        (np.zeros((5, 1)), {"confidence": 95}, "between 0 and 1"),
        (np.zeros((5, 1)), {"repeats": 0}, "at least 1"),
        (np.zeros((5, 1)), {"groups": [1, 2]}, "2 groups for 5 images"),
        (np.zeros((5, 1)), {"score": lambda stats: stats.mean()}, r"score gave the shape \(\)"),
    ],
)
def test_bad_arguments(stats, arguments, message):
    with pytest.raises(ValueError, match=message):
        bootstrap_interval(stats, **{"score": mean_score, **arguments})


def test_pairs_of_other_images_are_refused():
    with pytest.raises(ValueError, match="the same images"):
        paired_bootstrap(np.zeros((5, 3)), np.zeros((6, 3)), mean_score)


def rows_of_trials(effects, noise=0.0, images=30, seed=3):
    """Statistics, groups and trials: trial t is better by effects[t] on every image; two images form a group."""
    rng = np.random.default_rng(seed)
    base = rng.random(images)
    better = np.concatenate([base + effect + rng.normal(0, noise, images) for effect in effects])
    groups = [image // 2 for _ in effects for image in range(images)]
    trials = [trial for trial, _ in enumerate(effects) for _ in range(images)]
    return better[:, None], np.tile(base, len(effects))[:, None], groups, trials


def test_trials_are_drawn_beside_images():
    a, b, groups, trials = rows_of_trials([0.1, 0.1, -0.2])
    crossed = paired_bootstrap(a, b, mean_score, groups=groups, trials=trials)
    # Images differ in nothing: all that varies is which of the trials are drawn, each set of three with 1/27. Student's
    # t of three trials is 4.303 where the normal has 1.960, and resamples have 2/3 of the variance (within 4 % here).
    wider = 4.303 / 1.960 * 1.5**0.5
    drawn = sorted(sum(one) / 3 for one in itertools.product([0.1, 0.1, -0.2], repeat=3))
    assert crossed.low == pytest.approx(wider * drawn[0], rel=0.04)
    assert crossed.high == pytest.approx(wider * drawn[-1], rel=0.04)
    assert crossed.difference == pytest.approx(0)
    images_only = paired_bootstrap(a, b, mean_score, groups=groups)
    assert images_only.high - images_only.low < 1e-9


def test_the_interval_over_both_is_that_of_variances_that_add_up():
    rng = np.random.default_rng(0)
    effects = rng.normal(0.05, 0.02, 8)
    shift = rng.normal(0, 0.1, 30)
    base = np.zeros(30 * 8)
    a = np.concatenate([shift + effect for effect in effects])
    labels = {"groups": np.tile(np.arange(30), 8), "trials": np.repeat(np.arange(8), 30)}
    found = paired_bootstrap(a[:, None], base[:, None], mean_score, repeats=4000, **labels)
    of_trials, of_images = effects.var(ddof=1) / 8, shift.var() / 30
    freedom = 7 * ((of_trials + of_images) / of_trials) ** 2
    expected = 2 * stdtrit(freedom, 0.975) * np.sqrt(of_trials + of_images)
    assert found.high - found.low == pytest.approx(expected, rel=0.06)


def test_two_trials_of_equal_networks_seldom_differ_for_sure():
    """Two seeds that differ by more than images do: the same sign twice, half of the time, is no proof."""
    rng, sure = np.random.default_rng(5), 0
    for _ in range(60):
        a = np.concatenate([rng.normal(rng.normal(0, 0.02), 0.05, 60) for _ in range(2)])[:, None]
        labels = {"groups": np.tile(np.arange(60), 2), "trials": np.repeat([0, 1], 60)}
        found = paired_bootstrap(a, np.zeros_like(a), mean_score, repeats=200, **labels)
        sure += found.low > 0 or found.high < 0
    assert sure <= 12, f"{sure} of 60 intervals leave out 0"


def test_one_trial_is_as_without():
    a, b, groups, trials = rows_of_trials([0.1], noise=0.3)
    with_trials = paired_bootstrap(a, b, mean_score, groups=groups, trials=trials)
    assert with_trials == paired_bootstrap(a, b, mean_score, groups=groups)


def test_trials_need_a_group_of_every_row():
    a, b, _, trials = rows_of_trials([0.1, 0.2])
    with pytest.raises(MaskfoldError, match="need one label for each"):
        paired_bootstrap(a, b, mean_score, trials=trials)
