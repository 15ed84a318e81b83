"""Choices on out-of-fold predictions, against a brute-force computation and on maps whose best setting is known."""

import hashlib
import warnings

import numpy as np
import pytest
from tests.drawn_runs import dice, make_run

from maskfold.competitions import open_competition
from maskfold.config import TuneConfig, override
from maskfold.ensembling.tune import Grid, Setting, choose_kind, settings, tune, weightings
from maskfold.errors import InferenceError
from maskfold.labels import LabelSpec
from maskfold.metrics import build_metric


def dice_of(rows):
    return np.mean([1.0 if tp + fp + fn == 0 else 2 * tp / (2 * tp + fp + fn) for tp, fp, fn in rows])


def miou_of(rows):
    sums = np.sum(rows, axis=0).reshape(-1, 3)
    return np.mean([tp / (tp + fp + fn) for tp, fp, fn in sums if tp + fp + fn > 0])


METRICS = {
    "dice": (build_metric("dice", LabelSpec("binary", ("roof",))), 3, dice_of),
    "miou": (build_metric("miou", LabelSpec("multiclass", tuple("abcd"))), 12, miou_of),
}


def random_grid(name, seed, parts=4):
    metric, width, score = METRICS[name]
    rng = np.random.default_rng(seed)
    stats = rng.integers(0, 9, (7, 23, width)).astype(float)
    stats[:, rng.random(23) < 0.2] = 0
    if name == "miou":
        stats[..., 6:9] = 0  # a class that is nowhere
    grid = Grid([Setting((1.0,), threshold=i / 7) for i in range(7)], stats, rng.permutation(23) % parts)
    return grid, metric, score


@pytest.mark.parametrize("name", METRICS)
@pytest.mark.parametrize("seed", range(8))
def test_cross_fitting_by_brute_force(name, seed):
    grid, metric, score = random_grid(name, seed)
    rows, chosen = [None] * 23, {}
    for part in range(4):
        others = [i for i in range(23) if grid.parts[i] != part]
        scores = [score([grid.stats[s, i] for i in others]) for s in range(7)]
        chosen[part] = scores.index(max(scores))
        assert grid.best(metric, grid.parts != part) == chosen[part]
        for i in np.flatnonzero(grid.parts == part):
            rows[i] = grid.stats[chosen[part], i]
    assert grid.cross_fitted(metric) == pytest.approx(score(rows), abs=1e-12)


def test_the_plain_setting_wins_a_tie():
    stats = np.tile(np.array([3.0, 1.0, 2.0]), (4, 5, 1))
    grid = Grid([Setting((1.0,))] * 4, stats, np.arange(5))
    assert grid.best(METRICS["dice"][0], np.ones(5, bool)) == 0


@pytest.mark.parametrize("part", range(3))
def test_an_images_own_part_never_influences_its_setting(part):
    """Setting 3 becomes perfect on one part: the others' choices may follow, that part's own may not."""
    metric = METRICS["dice"][0]
    grid, _, _ = random_grid("dice", 5, parts=3)
    inside = grid.parts == part
    own = grid.best(metric, ~inside)
    changed = grid.stats.copy()
    changed[:, inside] = (0.0, 50.0, 50.0)
    changed[3, inside] = (1000.0, 0.0, 0.0)
    tempted = Grid(grid.settings, changed, grid.parts)
    assert tempted.best(metric, np.ones(23, bool)) == 3, "in sample, everybody would take it"
    assert own != 3
    assert tempted.best(metric, ~inside) == own
    rows = np.concatenate([changed[tempted.best(metric, grid.parts != p)][grid.parts == p] for p in range(3)])
    assert tempted.cross_fitted(metric) == pytest.approx(dice_of(rows))
    # Its own images score zero under `own`: the temptation does not pay.
    assert dice_of(changed[own, inside]) == 0


def test_settings_begin_with_the_plain_one_and_repeat_nothing(competition):
    config = TuneConfig(thresholds=(0.7, 0.5, 0.3), min_areas=(40, 0))
    tried = list(settings(1, competition, config))
    assert tried[0] == Setting((1.0,), 0.5, 0)
    assert len(tried) == len(set(tried)) == 6
    assert {(s.threshold, s.min_area) for s in tried} == {(t, a) for t in (0.7, 0.5, 0.3) for a in (40, 0)}
    assert len(list(settings(2, competition, config))) == 5 * 6
    # The plain one is compared with even where the user's lists lack it.
    lacking = list(settings(1, competition, TuneConfig(thresholds=(0.2,), min_areas=(9,))))
    assert lacking == [Setting((1.0,), 0.5, 0), Setting((1.0,), 0.2, 9)]


def test_several_classes_have_weights_but_no_thresholds(streets):
    competition = open_competition(streets[0].competition)
    tried = list(settings(2, competition, TuneConfig(thresholds=(0.1, 0.9), min_areas=(0, 5))))
    assert [(s.threshold, s.min_area) for s in tried] == [(0.5, 0)] * 5


@pytest.mark.parametrize(("runs", "count"), [(1, 1), (2, 5), (3, 16), (4, 1)])
def test_weightings_are_shares(runs, count):
    found = weightings(runs)
    assert found[0] == pytest.approx((1 / runs,) * runs)
    assert len(found) == len(set(found)) == count
    assert all(len(w) == runs and sum(w) == pytest.approx(1) and min(w) >= 0 for w in found)
    if runs in (2, 3):
        assert {(1.0,) + (0.0,) * (runs - 1), (0.0,) * (runs - 1) + (1.0,)} <= set(found)


def thirds(ids):
    return {fold: list(ids)[fold::3] for fold in range(3)}


def by_fold(valid, make):
    return {fold: {name: make(name)[None].astype(np.float32) for name in ids} for fold, ids in valid.items()}


def faint(mask, *, speck):
    """The truth at 0.3 before 0.1, and a speck of 2 x 2 pixels in the first corner without truth."""
    probability = np.where(mask, 0.3, 0.1)
    if speck:
        places = [(y, x) for y in (0, mask.shape[0] - 2) for x in (0, mask.shape[1] - 2)]
        y, x = next((y, x) for y, x in places if not mask[max(0, y - 1) : y + 3, max(0, x - 1) : x + 3].any())
        probability[y : y + 2, x : x + 2] = 0.45
    return probability


def test_the_known_best_threshold_and_area_are_found(config, competition, truth, tmp_path):
    config = override(config, {"tune.thresholds": [0.2, 0.5, 0.35, 0.05], "tune.min_areas": [0, 5, 3000]})
    valid = thirds(truth)
    run = make_run(
        tmp_path, "a", config, {"best": by_fold(valid, lambda n: faint(truth[n], speck=n != "T000.jpg"))}, valid
    )
    choice = tune([run], competition, config)
    assert (choice.threshold, choice.min_area) == (0.2, 5)
    assert choice.metric == "dice"
    assert choice.views == "none"
    empty = sum(not mask.any() for mask in truth.values()) / len(truth)
    assert 0 < empty < 0.5
    assert choice.scores == pytest.approx({"before": empty, "after": 1.0})
    assert choice.checkpoints[0].model_dump() == {"run": str(run.path), "checkpoint": "best", "weight": 1.0}
    files = [run.fold(fold).checkpoint_path("best") for fold in range(3)]
    assert choice.hashes == {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_what_is_written_down_is_best_on_all_images(config, competition, truth, tmp_path):
    """Fold 0 alone would take 0.2; the other two, and all together, 0.3; anything is better than 0.5."""
    valid = thirds(truth)

    def one(name):
        probability = 0.1 + 0.25 * truth[name]
        rows = np.arange(len(probability)) % 4 == 0
        # In fold 0 a quarter of the building is fainter, elsewhere a quarter of the ground is brighter.
        probability[rows] = np.where((truth[name] == 1) == (name in valid[0]), 0.25, probability)[rows]
        return probability

    config = override(config, {"tune.thresholds": [0.2, 0.3, 0.5], "tune.min_areas": [0]})
    run = make_run(tmp_path, "a", config, {"best": by_fold(valid, one)}, valid)

    def score(threshold, folds):
        return np.mean([dice((one(n) >= threshold).astype(np.uint8), truth[n]) for f in folds for n in valid[f]])

    assert score(0.2, [0]) > score(0.3, [0]) > score(0.5, [0])
    assert score(0.3, [0, 1, 2]) > max(score(0.2, [0, 1, 2]), score(0.5, [0, 1, 2]))
    choice = tune([run], competition, config)
    assert choice.threshold == 0.3
    # Each fold's images were judged under what the others would have chosen.
    others = {fold: max((0.2, 0.3, 0.5), key=lambda t, f=fold: score(t, {0, 1, 2} - {f})) for fold in range(3)}
    assert choice.scores["after"] == pytest.approx(np.mean([score(others[fold], [fold]) for fold in range(3)]))


def split_taste(mask, early):
    """Threshold 0.3 is right for the ``early`` images, 0.7 for the others, and 0.5 middling for both."""
    half = mask.copy()
    half[:, : mask.shape[1] // 2] = 0
    if early:
        return np.where(mask, 0.4, 0.1) + 0.2 * half
    around = np.zeros_like(mask)
    around[mask.shape[0] // 2 :] = 1
    return np.where(mask, 0.9, 0.1 + 0.5 * around)


def test_what_only_helps_in_sample_is_not_kept(config, competition, truth, tmp_path):
    """One fold's best threshold is the other's worst: cross-fitted, choosing hurts, so nothing is changed."""
    names = [name for name, mask in truth.items() if mask.any()]
    valid = {0: sorted({*truth} - {*names[::3]}), 1: names[::3]}
    maps = {name: split_taste(mask, early=name in valid[0]) for name, mask in truth.items()}
    run = make_run(tmp_path, "a", config, {"best": by_fold(valid, maps.get)}, valid)
    config = override(config, {"tune.thresholds": [0.3, 0.5, 0.7], "tune.min_areas": [0]})

    def score(thresholds):
        return np.mean([
            dice((maps[name] >= thresholds[fold]).astype(np.uint8), truth[name])
            for fold, ids in valid.items() for name in ids
        ])  # fmt: skip

    in_sample, plain, swapped = score({0: 0.3, 1: 0.3}), score({0: 0.5, 1: 0.5}), score({0: 0.7, 1: 0.3})
    assert in_sample > plain + 0.02 > swapped + 0.04
    choice = tune([run], competition, config)
    assert (choice.threshold, choice.min_area) == (0.5, 0)
    assert choice.scores == pytest.approx({"before": plain, "after": plain}, abs=1e-9)


def noisy(mask, seed, strength):
    noise = np.random.default_rng(seed).normal(0, strength, mask.shape)
    return np.clip(0.25 + 0.5 * mask + noise, 0, 1)


def test_checkpoint_names_are_chosen_out_of_fold_among_the_first_of_training(config, competition, truth, tmp_path):
    valid = thirds(truth)
    strengths = {"best": 0.5, "ema": 0.2, "swa": 0.0}
    maps = {kind: by_fold(valid, lambda n, s=strength: noisy(truth[n], 1, s)) for kind, strength in strengths.items()}
    run = make_run(tmp_path, "a", config, maps, valid, scores={"best": 0.9, "ema": 0.8, "swa": 0.7})
    assert choose_kind(run, competition, override(config, {"tune.checkpoints": 1})) == "best"
    assert choose_kind(run, competition, override(config, {"tune.checkpoints": 2})) == "ema"
    assert choose_kind(run, competition, override(config, {"tune.checkpoints": 3})) == "swa"
    assert tune([run], competition, config).checkpoints[0].checkpoint == "ema"


def test_weights_of_runs(config, competition, truth, tmp_path):
    """Run b is noise with a bias: only run a counts, and with nothing wrong there the threshold stays."""
    valid = thirds(truth)
    good = make_run(tmp_path, "a", config, {"best": by_fold(valid, lambda n: 0.3 + 0.4 * truth[n])}, valid)
    bad = make_run(tmp_path, "b", config, {"best": by_fold(valid, lambda n: 1.0 - truth[n])}, valid)
    choice = tune([bad, good], competition, override(config, {"tune.thresholds": [0.5], "tune.min_areas": [0]}))
    assert [checkpoint.run for checkpoint in choice.checkpoints] == [str(bad.path), str(good.path)]
    assert [checkpoint.weight for checkpoint in choice.checkpoints] == [0.0, 1.0]
    assert choice.scores["after"] == 1.0
    # At equal weights the mean is 0.65 off the buildings and 0.35 on them.
    full = [np.ones_like(mask) - mask for mask in truth.values()]
    before = np.mean([dice(a, b) for a, b in zip(full, truth.values(), strict=True)])
    assert choice.scores["before"] == pytest.approx(before)
    assert len(choice.hashes) == 6


def test_runs_that_validated_other_images_are_refused(config, competition, truth, tmp_path):
    valid = thirds(truth)
    maps = {"best": by_fold(valid, lambda n: 0.2 + 0.6 * truth[n])}
    whole = make_run(tmp_path, "a", config, maps, valid)
    maps["best"].pop(1)
    part = make_run(tmp_path, "b", config, maps, valid)
    with pytest.raises(InferenceError, match=r"of 18 and 12 images, 12 in common: train the same folds of both"):
        tune([whole, part], competition, config)
    (part.fold(0).path / "summary.json").unlink()
    (part.fold(2).path / "summary.json").unlink()
    with pytest.raises(InferenceError, match="no finished fold"):
        tune([part], competition, config)


def test_one_finished_fold_is_divided_for_cross_fitting(config, competition, truth, tmp_path):
    valid = {0: list(truth)[:11], 1: list(truth)[11:]}
    maps = {0: by_fold(valid, lambda n: noisy(truth[n], 2, 0.45))[0]}
    config = override(config, {"tune.thresholds": [0.3, 0.4, 0.5, 0.6, 0.7], "tune.min_areas": [0]})
    run = make_run(tmp_path, "a", config, {"best": maps}, valid)
    grids = []
    with pytest.MonkeyPatch.context() as patch:
        original = Grid.cross_fitted
        patch.setattr(Grid, "cross_fitted", lambda self, m: grids.append(self) or original(self, m))
        first, second = (tune([run], competition, config) for _ in range(2))
    assert first == second
    assert sorted(np.bincount(grids[0].parts)) == [2, 2, 2, 2, 3]
    assert first.scores["after"] >= first.scores["before"]


def test_a_fold_of_one_image_keeps_the_plain_setting(config, competition, truth, tmp_path):
    names = list(truth)
    valid = {0: names[:1], 1: names[1:]}
    run = make_run(tmp_path, "a", config, {"best": {0: {names[0]: 0.3 * truth[names[0]][None]}}}, valid)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        choice = tune([run], competition, config)
    assert (choice.threshold, choice.min_area) == (0.5, 0)


def test_holes_are_filled_as_the_config_says(config, competition, truth, tmp_path):
    valid = thirds(truth)

    def pierced(name):
        probability = 0.1 + 0.8 * truth[name]
        ys, xs = np.nonzero(truth[name])
        if len(ys):
            around = (truth[name][y - 1 : y + 2, x - 1 : x + 2].sum() for y, x in zip(ys, xs, strict=True))
            inner = list(around).index(9)
            probability[ys[inner], xs[inner]] = 0.1
        return probability

    run = make_run(tmp_path, "a", config, {"best": by_fold(valid, pierced)}, valid)
    filled = tune([run], competition, override(config, {"post.fill_holes": 2}))
    assert filled.fill_holes == 2
    assert filled.scores["after"] == 1.0
    assert tune([run], competition, config).scores["after"] < 1.0


def test_weights_of_runs_with_several_classes(streets, tmp_path):
    config, labels = streets
    competition = open_competition(config.competition)
    valid = {0: list(labels)[::2], 1: list(labels)[1::2]}

    def maps(shift):
        def one(name):
            hot = np.eye(3, dtype=np.float32)[(np.where(labels[name] > 2, 0, labels[name]) + shift) % 3]
            return 0.1 + 0.7 * np.moveaxis(hot, -1, 0)

        return {"best": {fold: {n: one(n) for n in ids} for fold, ids in valid.items()}}

    wrong, right = (make_run(tmp_path, name, config, maps(shift), valid) for name, shift in (("w", 1), ("r", 0)))
    choice = tune([wrong, right], competition, config)
    assert choice.metric == "miou"
    assert choice.checkpoints[1].weight > 0.5
    assert choice.scores["after"] == 1.0 > choice.scores["before"]
    assert (choice.threshold, choice.min_area) == (0.5, 0)
