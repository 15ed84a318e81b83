"""The metric of GI tract, against its rule written with scipy's directed Hausdorff distance over all voxels."""

import numpy as np
import pytest
from scipy.spatial.distance import directed_hausdorff

from maskfold.errors import MaskfoldError
from maskfold.labels import Label, LabelSpec
from maskfold.metrics import Evaluation, build_metric, gathered_stats, units_of

ORGANS = LabelSpec("multilabel", ("large_bowel", "small_bowel", "stomach"))


def volumes(seed=0):
    """id -> layers (C, H, W) of prediction and truth: two days of one case and another case, sizes and depths apart."""
    rng = np.random.default_rng(seed)
    found = {}
    for day, (depth, height, width) in {
        "case7_day0": (5, 12, 17),
        "case7_day19": (3, 9, 14),
        "case9_day2": (4, 9, 14),
    }.items():
        for number in range(depth):
            truth = np.zeros((3, height, width), np.uint8)
            for layer in truth[: 2 if day == "case7_day19" else 3]:
                top, left = rng.integers(0, height - 5), rng.integers(0, width - 6)
                layer[top : top + rng.integers(1, 5), left : left + rng.integers(2, 6)] = rng.random() < 0.8
            predicted = np.where(rng.random(truth.shape) < 0.03, 1 - truth, truth).astype(np.uint8)
            predicted[2] = truth[2] if day == "case7_day0" else predicted[2]
            found[f"{day}_slice_{number + 1:04d}"] = predicted, truth
    for number in range(3):  # the stomach is in neither mask of that day
        found[f"case7_day19_slice_{number + 1:04d}"][0][2] = 0
    return found


def distance(predicted, truth):
    if not predicted.any() and not truth.any():
        return np.nan
    if not predicted.any() or not truth.any() or predicted.sum() > 10 * truth.sum():
        return 1.0
    points = [np.argwhere(volume) / volume.shape for volume in (predicted, truth)]
    return max(directed_hausdorff(*points)[0], directed_hausdorff(*points[::-1])[0]) / 3**0.5


def graded(found, joined):
    dice = [
        2 * (p & t).sum() / (p.sum() + t.sum()) if p.any() or t.any() else np.nan
        for slices in found.values()
        for p, t in zip(*slices, strict=True)
    ]
    distances = []
    for day in sorted({name.split("_slice_")[0] for name in found}):
        names = sorted(name for name in found if name.startswith(day + "_slice_"))
        both = [np.stack([found[name][k] for name in names], 1) for k in (0, 1)]  # (C, D, H, W)
        distances += [distance(*(b.any(0) for b in both))] if joined else map(distance, *both)
    return 0.4 * np.nanmean(dice) + 0.6 * (1 - np.nanmean(distances))


def stats_of(metric, found):
    rows = [metric.stats_of(p, Label.whole(t)) for p, t in found.values()]
    return gathered_stats(metric, list(found), rows)


@pytest.mark.parametrize("joined", [True, False])
def test_the_published_rule(joined):
    for seed in range(3):
        found = volumes(seed)
        metric = build_metric("gi_tract", ORGANS, {"joined": joined})
        assert metric.score(stats_of(metric, found)) == pytest.approx(graded(found, joined), abs=1e-12)


def test_what_is_missed_is_as_far_as_what_is_too_much():
    """Of two blocks only one is predicted, or one is predicted too many."""
    one, two = np.zeros((2, 1, 9, 21), np.uint8)
    one[0, 2:4, 1:5] = two[0, 2:4, 1:5] = two[0, 5:8, 15:20] = 1
    metric = build_metric("gi_tract", LabelSpec("multilabel", ("organ",)))
    for masks in ((one, two), (two, one)):
        found = {"a_slice_1": masks, "a_slice_2": (one, one)}
        assert metric.score(stats_of(metric, found)) == pytest.approx(graded(found, True), abs=1e-12)


def test_the_order_of_the_slices_is_that_of_their_ids():
    found = volumes()
    metric = build_metric("gi_tract", ORGANS)
    shuffled = {name: found[name] for name in np.random.default_rng(1).permutation(list(found))}
    places = [list(shuffled).index(name) for name in found]
    np.testing.assert_allclose(stats_of(metric, shuffled)[places], stats_of(metric, found))
    assert list(units_of(metric, list(shuffled))) == ["case7_day0", "case7_day19", "case9_day2"]


def test_score_of_each_class():
    found = volumes(5)
    metric = build_metric("gi_tract", ORGANS, {"joined": False})
    alone = build_metric("gi_tract", LabelSpec("binary", ("organ",)))
    for place, score in enumerate(metric.per_class(stats_of(metric, found))):
        of_class = {name: tuple(layers[place] for layers in slices) for name, slices in found.items()}
        assert score == pytest.approx(alone.score(stats_of(alone, of_class)))


def test_whole_volumes_are_drawn():
    """Of rows of whole volumes the score is that of these volumes, in whatever number they are drawn."""
    found = volumes(2)
    metric = build_metric("gi_tract", ORGANS)
    stats, days = stats_of(metric, found), [name.split("_slice_")[0] for name in found]
    chosen = [place for place, day in enumerate(days) if day != "case9_day2"]
    part = {name: found[name] for name, day in zip(found, days, strict=True) if day != "case9_day2"}
    assert metric.score(stats[chosen]) == pytest.approx(graded(part, True))
    grid = np.stack([stats[chosen], stats[chosen[::-1]]])
    np.testing.assert_allclose(metric.score(grid), graded(part, True))
    low, high = Evaluation(metric, list(found), stats, days).interval()
    assert low < metric.score(stats) < high


@pytest.mark.parametrize(("predicted", "truth"), [(0, 1), (1, 0)])
def test_only_one_of_the_two_is_empty(predicted, truth):
    metric = build_metric("gi_tract", LabelSpec("binary", ("organ",)))
    masks = {f"a_slice_{k}": (np.full((4, 5), predicted, np.uint8), np.full((4, 5), truth, np.uint8)) for k in range(2)}
    assert metric.score(stats_of(metric, masks)) == 0


def test_far_too_many_voxels_are_as_far_as_can_be():
    truth, predicted = np.zeros((2, 1, 8, 9), np.uint8)
    truth[0, 3, 4], predicted[0, 2:5, 2:6] = 1, 1
    metric = build_metric("gi_tract", LabelSpec("multilabel", ("organ",)))
    found = {"a_slice_1": (predicted, truth)}
    assert metric.score(stats_of(metric, found)) == pytest.approx(0.4 * 2 / 13)
    assert metric.score(stats_of(metric, found)) == pytest.approx(graded(found, True))
    predicted[0, 2:5, 2:6] = np.array([[1, 1, 1, 1], [1, 1, 1, 0], [1, 1, 1, 0]])
    assert metric.score(stats_of(metric, found)) == pytest.approx(graded(found, True))
    assert graded(found, True) > 0.4 * 2 / 11 + 0.4, "ten times as many are not yet too many"


def test_what_lies_deep_inside_of_both_is_near():
    """A prediction one voxel too wide on one side: the middle of the organ is farther from its surface than that."""
    truth, predicted = np.zeros((2, 1, 15, 22), np.uint8)
    truth[0, 2:13, 3:16], predicted[0, 2:13, 2:16] = 1, 1
    metric = build_metric("gi_tract", LabelSpec("multilabel", ("organ",)))
    found = {f"a_slice_{number}": (predicted, truth) for number in range(9)}
    assert metric.score(stats_of(metric, found)) == pytest.approx(graded(found, True), abs=1e-12)


def test_ids_and_sizes_that_do_not_fit():
    metric = build_metric("gi_tract", ORGANS)
    with pytest.raises(MaskfoldError, match="the id x01 does not say which volume"):
        metric.unit("x01")
    rows = [
        metric.stats_of(np.zeros((3, 4, size), np.uint8), Label.whole(np.zeros((3, 4, size), np.uint8)))
        for size in (5, 6)
    ]
    with pytest.raises(MaskfoldError, match=r"have the sizes \[\(4, 5\), \(4, 6\)\]"):
        gathered_stats(metric, ["a_slice_1", "a_slice_2"], rows)
