"""The walk over choices against a brute-force computation, and that it flatters nothing."""

from functools import partial

import numpy as np
import pytest

from maskfold.ensembling.crossfit import Coordinate, cross_fitted, middle, walk
from maskfold.metrics import build_metric


def dice_of(rows):
    return np.mean([1.0 if tp + fp + fn == 0 else 2 * tp / (2 * tp + fp + fn) for tp, fp, fn in rows])


def miou_of(rows):
    sums = np.sum(rows, axis=0).reshape(-1, 3)
    return np.mean([tp / (tp + fp + fn) for tp, fp, fn in sums if tp + fp + fn > 0])


METRICS = {
    "dice": (build_metric("dice"), 3, dice_of),
    "miou": (build_metric("miou", num_classes=4), 12, miou_of),
}


class Drawn:
    """Statistics of settings, which are tuples, drawn at random."""

    def __init__(self, seed, images, width, sizes):
        self.rng = np.random.default_rng(seed)
        self.table = {setting: self.rng.integers(0, 9, (images, width)).astype(float) for setting in np.ndindex(*sizes)}
        self.passes = []

    def look(self, settings, what):
        self.passes.append((what, set(settings)))

    def stats(self, setting):
        assert any(setting in looked for _, looked in self.passes), "looked at in a pass with the others"
        return self.table[setting]


def moved(place, size, now, part):
    return [(*now[:place], value, *now[place + 1 :]) for value in range(size)]


def steps_of(sizes):
    return [Coordinate(f"step {place}", partial(moved, place, size)) for place, size in enumerate(sizes)]


@pytest.mark.parametrize("name", METRICS)
@pytest.mark.parametrize("seed", range(8))
def test_the_walk_by_brute_force(name, seed):
    metric, width, score = METRICS[name]
    sizes, start = (4, 3, 5), (1, 2, 0)
    drawn = Drawn(seed, 23, width, sizes)
    parts = np.random.default_rng(seed).permutation(23) % 4

    def by_hand(images):
        now = start
        for place, size in enumerate(sizes):
            options = [now, *moved(place, size, now, None)]
            scores = [score([drawn.table[option][i] for i in images]) for option in options]
            now = options[scores.index(max(scores))]
        return now

    expected = {part: by_hand(np.flatnonzero(parts != part)) for part in range(4)}
    walked = walk(start, steps_of(sizes), parts, drawn, metric.score)
    assert walked.of_part == expected
    assert walked.chosen == by_hand(range(23))
    rows = [drawn.table[expected[parts[i]]][i] for i in range(23)]
    assert metric.score(cross_fitted(walked, parts, drawn)) == pytest.approx(score(rows), abs=1e-12)
    assert [what for what, _ in drawn.passes] == ["step 0", "step 1", "step 2"], "one pass for all parts together"


@pytest.mark.parametrize("part", range(3))
def test_an_images_own_part_never_influences_its_setting(part):
    """One setting becomes perfect on one part: the others' choices may follow, that part's own may not."""
    metric, width, _ = METRICS["dice"]
    sizes = (4, 3)
    parts = np.random.default_rng(3).permutation(23) % 3
    drawn = Drawn(5, 23, width, sizes)
    before = walk((0, 0), steps_of(sizes), parts, drawn, metric.score)
    own = before.of_part[part]
    tempting = next(setting for setting in ((3, 0), (2, 0)) if setting[0] != own[0])
    for setting, stats in drawn.table.items():
        stats[parts == part] = (1000.0, 0.0, 0.0) if setting == tempting else (0.0, 50.0, 50.0)
    after = walk((0, 0), steps_of(sizes), parts, drawn, metric.score)
    assert after.chosen == tempting, "in sample, everybody would take it"
    assert after.of_part[part] == own
    assert dice_of(cross_fitted(after, parts, drawn)[parts == part]) == 0, "the temptation does not pay"


class Scores:
    """Settings are numbers; an image scores what the table says."""

    def __init__(self, table):
        self.table = {setting: np.asarray(values, float)[:, None] for setting, values in table.items()}

    def look(self, settings, what):
        pass

    def stats(self, setting):
        return self.table[setting]


def mean(stats):
    return float(np.nanmean(stats)) if np.isfinite(stats).any() else float("nan")


def chosen(scores, start, ordered=True):
    """The choice among settings 0, 1 … with the same score on all of four images."""
    table = Scores({setting: [score] * 4 for setting, score in enumerate(scores)})
    step = Coordinate("value", lambda now, part: range(len(scores)), ordered)
    return walk(start, [step], np.arange(4) % 2, table, mean).chosen


def test_what_is_configured_wins_a_tie_and_a_plateau_gives_its_middle():
    assert chosen([0.5, 0.7, 0.7, 0.7, 0.7, 0.7, 0.2], start=0) == 3
    assert chosen([0.5, 0.7, 0.7, 0.7, 0.7, 0.7, 0.2], start=5) == 5
    assert chosen([0.5, 0.7, 0.7, 0.7, 0.7, 0.7, 0.2], start=0, ordered=False) == 1
    assert chosen([0.1, 0.7, 0.2, 0.7, 0.7, 0.7], start=0) == 4


@pytest.mark.parametrize(
    ("scores", "place"),
    [([1, 3, 2], 1), ([3, 3, 1, 3, 3, 3], 4), ([3, 3, 1, 3, 3], 0), ([2, 5, 5, 5, 5], 2), ([4, 4], 0)],
)
def test_the_middle_of_the_longest_row(scores, place):
    assert middle(scores) == place


def test_images_that_cannot_be_scored_decide_nothing():
    nan = np.nan
    step = Coordinate("value", lambda now, part: [0, 1, 2])
    table = Scores({0: [0.5, 0.5, nan, nan], 1: [0.6, 0.4, nan, nan], 2: [nan, nan, nan, nan]})
    walked = walk(0, [step], np.array([0, 0, 1, 1]), table, mean)
    assert walked.of_part == {0: 0, 1: 0}, "without part 0 nothing can be scored"
    assert walked.chosen == 0
    better = Scores({0: [0.5, nan, 0.5, nan], 1: [0.6, nan, 0.7, nan], 2: [nan] * 4})
    walked = walk(0, [step], np.array([0, 0, 1, 1]), better, mean)
    assert (walked.chosen, walked.of_part) == (1, {0: 1, 1: 1})
    assert mean(cross_fitted(walked, np.array([0, 0, 1, 1]), better)) == pytest.approx(0.65)
    alone = walk(0, [step], np.zeros(4), Scores({0: [0.5] * 4, 1: [0.6] * 4, 2: [0.1] * 4}), mean)
    assert alone.of_part == {0.0: 0}, "one part only: there is nothing to choose on"


def test_equal_checkpoints_flatter_nothing():
    """Two checkpoints that are equally good, 20 images each: what is reported is the truth, on average.

    The best of both on the same images is 0.018 too good.
    """
    truth, spread, repeats = 0.8, 0.14, 4000
    step = Coordinate("checkpoint", lambda now, part: [0, 1])
    parts = np.arange(20) % 5
    reported, best_of_both = [], []
    for seed in range(repeats):
        scores = np.random.default_rng(seed).normal(truth, spread, (2, 20))
        table = Scores(dict(enumerate(scores)))
        walked = walk(0, [step], parts, table, mean)
        reported.append(mean(cross_fitted(walked, parts, table)))
        best_of_both.append(scores.mean(axis=1).max())
    error = np.std(reported) / np.sqrt(repeats)
    assert abs(np.mean(reported) - truth) < 3 * error < 0.002
    assert np.mean(best_of_both) - truth == pytest.approx(0.018, abs=0.002)
