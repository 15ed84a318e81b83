"""Choices on out-of-fold predictions, against a brute-force computation and on maps whose best setting is known."""

import hashlib
import warnings
from functools import partial
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from tests.drawn_runs import dice, make_run

from maskfold.competitions import open_competition
from maskfold.config import PostConfig, override
from maskfold.ensembling.crossfit import Coordinate, walk
from maskfold.ensembling.oof import OofImage, merged_map
from maskfold.ensembling.settings import Scorer, Setting
from maskfold.ensembling.tune import _moves, parts_of, ranked_checkpoints, tune
from maskfold.ensembling.weightings import weightings
from maskfold.errors import ConfigError, InferenceError, RunError
from maskfold.images import PLAIN
from maskfold.inference.decoding import tunable_values
from maskfold.inference.decoding.steps import remove_small
from maskfold.inference.predict import Prediction
from maskfold.labels import Label, LabelSpec
from maskfold.metrics import CompetitionMetric, build_metric, gathered_stats
from maskfold.runs import MapStore
from maskfold.scoring.evaluate import evaluate_oof


@pytest.mark.parametrize(("runs", "count"), [(1, 1), (2, 5), (3, 16), (4, 1)])
def test_weightings_are_shares(runs, count):
    found = weightings(runs)
    assert found[0] == pytest.approx((1 / runs,) * runs)
    assert len(found) == len(set(found)) == count
    assert all(len(w) == runs and sum(w) == pytest.approx(1) and min(w) >= 0 for w in found)
    if runs in (2, 3):
        assert {(1.0,) + (0.0,) * (runs - 1), (0.0,) * (runs - 1) + (1.0,)} <= set(found)


def tried(thresholds, min_areas=(0,)):
    """Overrides of what tuning tries; holes are not filled."""
    values = {"threshold": list(thresholds), "fill_holes": [0], "min_area": list(min_areas)}
    return {f"tune.tried.{name}": each for name, each in values.items()}


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
    config = override(config, tried([0.2, 0.5, 0.35, 0.05], [0, 5, 3000]))
    valid = thirds(truth)
    run = make_run(
        tmp_path, "a", config, {"best": by_fold(valid, lambda n: faint(truth[n], speck=n != "T000.jpg"))}, valid
    )
    choice = tune([run], competition, config)
    # 0.2 and 0.35 are equal but for the threshold between 0.3 and 0.35: the probabilities are 0.3, 0.1 and 0.45.
    assert choice.post == PostConfig(threshold=0.2, min_area=5)
    assert choice.metric == "dice"
    assert choice.tta.views == "none"
    empty = sum(not mask.any() for mask in truth.values()) / len(truth)
    assert 0 < empty < 0.5
    assert choice.scores == pytest.approx({"before": empty, "after": 1.0})
    assert choice.runs[0].model_dump() == {"run": str(run.path), "checkpoint": "best", "weight": 1.0}
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

    config = override(config, tried([0.2, 0.3, 0.5]))
    run = make_run(tmp_path, "a", config, {"best": by_fold(valid, one)}, valid)

    def score(threshold, folds):
        return np.mean([dice((one(n) >= threshold).astype(np.uint8), truth[n]) for f in folds for n in valid[f]])

    assert score(0.2, [0]) > score(0.3, [0]) > score(0.5, [0])
    assert score(0.3, [0, 1, 2]) > max(score(0.2, [0, 1, 2]), score(0.5, [0, 1, 2]))
    choice = tune([run], competition, config)
    assert choice.post.threshold == 0.3
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
    """One fold's best threshold is the other's worst: cross-fitted, choosing hurts, so it is refused."""
    names = [name for name, mask in truth.items() if mask.any()]
    valid = {0: sorted({*truth} - {*names[::3]}), 1: names[::3]}
    maps = {name: split_taste(mask, early=name in valid[0]) for name, mask in truth.items()}
    run = make_run(tmp_path, "a", config, {"best": by_fold(valid, maps.get)}, valid)
    config = override(config, tried([0.3, 0.5, 0.7]))

    def score(thresholds):
        return np.mean([
            dice((maps[name] >= thresholds[fold]).astype(np.uint8), truth[name])
            for fold, ids in valid.items() for name in ids
        ])  # fmt: skip

    in_sample, plain, swapped = score({0: 0.3, 1: 0.3}), score({0: 0.5, 1: 0.5}), score({0: 0.7, 1: 0.3})
    assert in_sample > plain + 0.02 > swapped + 0.04
    choice = tune([run], competition, config)
    assert choice.post == PostConfig()
    assert choice.scores == pytest.approx({"before": plain, "after": plain}, abs=1e-9)
    (refused,) = choice.refused
    assert (refused.name, refused.gain) == ("threshold", pytest.approx(swapped - plain, abs=1e-9))
    assert choice.score == choice.scores["before"]
    assert not choice.helped


def noisy(mask, seed, strength):
    noise = np.random.default_rng(seed).normal(0, strength, mask.shape)
    return np.clip(0.25 + 0.5 * mask + noise, 0, 1)


def test_checkpoint_names_are_chosen_out_of_fold_among_the_first_of_training(config, competition, truth, tmp_path):
    valid = thirds(truth)
    strengths = {"best": 0.5, "ema": 0.2, "swa": 0.0}
    maps = {kind: by_fold(valid, lambda n, s=strength: noisy(truth[n], 1, s)) for kind, strength in strengths.items()}
    run = make_run(tmp_path, "a", config, maps, valid, scores={"best": 0.9, "ema": 0.8, "swa": 0.7})
    for count, expected in ((1, "best"), (2, "ema"), (3, "swa")):
        few = override(config, {"tune.checkpoints": count})
        assert ranked_checkpoints(run, None, few) == ["best", "ema", "swa"][:count]
        assert tune([run], competition, few).checkpoints == [expected]
    # The configured one is compared as well, wherever training ranks it.
    swa = override(config, {"tune.checkpoints": 1, "inference.checkpoint": "swa"})
    assert tune([run], competition, swa).checkpoints == ["swa"]
    with pytest.raises(RunError, match="has no checkpoint 'snapshots': it has best, ema, swa"):
        tune([run], competition, override(config, {"inference.checkpoint": "snapshots"}))


def test_training_ranks_checkpoints_without_the_part_in_question(config, competition, truth, tmp_path):
    valid = thirds(truth)
    maps = {kind: by_fold(valid, lambda n: noisy(truth[n], 1, 0.2)) for kind in ("best", "ema", "swa")}
    run = make_run(tmp_path, "a", config, maps, valid)
    for fold, scores in enumerate([(0.9, 0.1, float("nan")), (0.5, 0.6, 0.56), (0.6, 0.7, 0.54)]):
        run.fold(fold).finish({"candidates": {**dict(zip(maps, scores, strict=True)), f"snapshot_{fold}": 1.0}})
    one = override(config, {"tune.checkpoints": 1})
    assert [ranked_checkpoints(run, part, one) for part in (None, 0, 1, 2)] == [["best"], ["ema"], ["best"], ["best"]]
    # A fold without a score, as where only ignored pixels are validated, counts for nothing.
    assert ranked_checkpoints(run, 1, override(config, {"tune.checkpoints": 3})) == ["best", "swa", "ema"]
    assert tune([run], competition, one).scores["after"] > 0


def test_checkpoints_are_cross_fitted_too(config, competition, truth, tmp_path):
    """In fold 0 only ema is good, elsewhere only best: fold 0 is scored with best, as the others would have it."""
    valid = thirds(truth)

    def maps(good):
        return {
            fold: {n: (0.3 + 0.4 * (truth[n] if fold in good else 1 - truth[n]))[None] for n in ids}
            for fold, ids in valid.items()
        }

    run = make_run(tmp_path, "a", config, {"best": maps((1, 2)), "ema": maps((0,))}, valid)
    config = override(config, tried([0.5]))

    def score(kinds):
        right = {"best": (1, 2), "ema": (0,)}
        return np.mean([
            dice(truth[n] if fold in right[kind] else 1 - truth[n], truth[n])
            for fold, kind in enumerate(kinds) for n in valid[fold]
        ])  # fmt: skip

    choice = tune([run], competition, config)

    # Folds 1 and 2 are each scored by what the other and fold 0 prefer: equal numbers, so the images decide.
    def others(fold):
        rest = [f for f in range(3) if f != fold]
        found = {k: np.mean([dice(truth[n] if f in r else 1 - truth[n], truth[n]) for f in rest for n in valid[f]])
                 for k, r in (("best", (1, 2)), ("ema", (0,)))}  # fmt: skip
        return "ema" if found["ema"] > found["best"] else "best"

    assert choice.scores == pytest.approx({"before": score(["best"] * 3), "after": score(map(others, range(3)))})
    assert others(0) == "best"


def test_weights_of_runs(config, competition, truth, tmp_path):
    """Run b is noise with a bias: only run a counts, and with nothing wrong there the threshold stays."""
    valid = thirds(truth)
    good = make_run(tmp_path, "a", config, {"best": by_fold(valid, lambda n: 0.3 + 0.4 * truth[n])}, valid)
    bad = make_run(tmp_path, "b", config, {"best": by_fold(valid, lambda n: 1.0 - truth[n])}, valid)
    choice = tune(
        [bad, good], competition, override(config, {"tune.tried.threshold": [0.5], "tune.tried.min_area": [0]})
    )
    assert [run.run for run in choice.runs] == [str(bad.path), str(good.path)]
    assert choice.weights == (0.0, 1.0)
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
    """Five parts: what each image is scored under, tried out by hand."""
    valid = {0: list(truth)[:11], 1: list(truth)[11:]}
    maps = {0: by_fold(valid, lambda n: noisy(truth[n], 2, 0.45))[0]}
    config = override(config, tried([0.3, 0.4, 0.5, 0.6, 0.7]))
    run = make_run(tmp_path, "a", config, {"best": maps}, valid)
    first, second = (tune([run], competition, config) for _ in range(2))
    assert first == second
    parts = parts_of([OofImage(name, "", None, 0, ()) for name in valid[0]], None)
    assert sorted(np.bincount(parts)) == [2, 2, 2, 2, 3]
    scores = {
        threshold: np.array([
            dice((np.rint(maps[0][name][0] * 255) / 255 >= threshold).astype(np.uint8), truth[name])
            for name in valid[0]
        ])
        for threshold in (0.5, 0.3, 0.4, 0.6, 0.7)
    }  # fmt: skip
    rows = np.empty(11)
    for part in range(5):
        best = max(scores, key=lambda threshold, part=part: scores[threshold][parts != part].mean())
        rows[parts == part] = scores[best][parts == part]
    assert first.scores["after"] == pytest.approx(rows.mean(), abs=5e-3)
    assert first.scores["before"] == pytest.approx(scores[0.5].mean(), abs=5e-3)


def test_parts_of_one_fold_keep_groups_together():
    images = [OofImage(f"i{number}", "", None, 3, ()) for number in range(40)]
    groups = [f"scene {number % 7}" for number in range(40)]
    parts = parts_of(images, groups)
    assert all(len(set(parts[np.array(groups) == group])) == 1 for group in set(groups))
    assert len(set(parts)) == 5
    assert len(set(parts_of(images, ["one"] * 40))) == 1
    several = [OofImage(f"i{number}", "", None, number % 2, ()) for number in range(40)]
    assert (parts_of(several, groups) == np.arange(40) % 2).all(), "several folds are the parts"


def test_what_is_configured_is_the_start_and_wins_ties(config, competition, truth, tmp_path):
    """Every threshold from 0.35 to 0.65 is perfect, and so is every small area."""
    valid = thirds(truth)
    run = make_run(tmp_path, "a", config, {"best": by_fold(valid, lambda n: 0.3 + 0.4 * truth[n])}, valid)
    tries = tried([0.1, 0.35, 0.4, 0.5, 0.6, 0.65, 0.9], [0, 2, 3000])
    for post in (PostConfig(threshold=0.4, min_area=2), PostConfig(threshold=0.42, fill_holes=1)):
        asked = override(config, {**tries, **{f"post.{key}": value for key, value in post.model_dump().items()}})
        choice = tune([run], competition, asked)
        assert choice.post == post
        assert choice.scores == {"before": 1.0, "after": 1.0}
    choice = tune([run], competition, override(config, {**tries, "post.threshold": 0.9}))
    assert choice.post.threshold == 0.5, "from a bad start the middle of the five equal ones is taken"


def test_before_is_what_the_config_predicts(config, competition, truth, tmp_path):
    valid = thirds(truth)
    maps = {"best": by_fold(valid, lambda n: noisy(truth[n], 1, 0.4)), "ema": by_fold(valid, lambda n: truth[n] * 0.9)}
    run = make_run(tmp_path, "a", config, maps, valid)
    asked = override(config, {**tried([0.3, 0.5]), "post.threshold": 0.3, "post.min_area": 4})
    choice = tune([run], competition, asked)
    chain = [
        dice(
            remove_small((np.rint(maps["best"][f][n][0] * 255) / 255 >= 0.3).astype(np.uint8), 4), truth[n]
        ) for f in valid for n in valid[f]
    ]  # fmt: skip
    assert choice.scores["before"] == pytest.approx(np.mean(chain), abs=5e-3)
    assert choice.checkpoints == ["ema"]
    assert choice.scores["after"] == 1.0


def test_one_map_is_read_once_for_all_settings_of_a_pass(config, competition, truth, tmp_path, monkeypatch):
    valid = thirds(truth)
    run = make_run(tmp_path, "a", config, {"best": by_fold(valid, lambda n: noisy(truth[n], 3, 0.3))}, valid)
    reads = []
    original = MapStore.read
    monkeypatch.setattr(MapStore, "read", lambda self, name: reads.append(name) or original(self, name))
    tune([run], competition, override(config, tried([0.3, 0.4, 0.5, 0.6], [0, 3, 9])))
    # The configured setting comes with the first step; filled holes are at 0 alone, which is looked at before.
    assert max(map(reads.count, set(reads))) <= 3


def test_values_that_no_step_has_are_refused(config, competition, truth, tmp_path):
    valid = thirds(truth)
    run = make_run(tmp_path, "a", config, {"best": by_fold(valid, lambda n: 0.9 * truth[n])}, valid)
    with pytest.raises(ConfigError, match="the step areas, which is not in the chain"):
        tune([run], competition, override(config, {"tune.tried.areas": [3]}))


def test_a_fold_of_one_image_keeps_the_plain_setting(config, competition, truth, tmp_path):
    names = list(truth)
    valid = {0: names[:1], 1: names[1:]}
    run = make_run(tmp_path, "a", config, {"best": {0: {names[0]: 0.3 * truth[names[0]][None]}}}, valid)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        choice = tune([run], competition, config)
    assert choice.post == PostConfig()


def test_holes_are_filled_as_the_config_says_or_as_tuning_finds(config, competition, truth, tmp_path):
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
    assert filled.post.fill_holes == 2
    assert filled.scores["after"] == 1.0
    assert tune([run], competition, config).scores["after"] < 1.0
    found = tune([run], competition, override(config, {"tune.tried.fill_holes": [0, 3]}))
    assert found.post.fill_holes == 3
    assert found.scores["after"] == 1.0


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
    assert choice.weights[1] > 0.5
    assert choice.scores["after"] == 1.0 > choice.scores["before"]
    assert choice.post == PostConfig()


def test_a_fold_of_which_no_pixel_counts_is_tuned_with_the_others(streets, tmp_path):
    """Fold 1 has no score: its images choose nothing, and those of the others are the score."""
    config, labels = streets
    config = override(config, {"folds.kind": "given", "folds.count": 1})
    ids = list(labels)
    for name in ids[4:]:
        cv2.imwrite(str(config.competition.root / "labels" / name), np.full(labels[name].shape, 255, np.uint8))
    competition = open_competition(config.competition)
    valid = {0: ids[:2], 1: ids[4:], 2: ids[2:4]}

    def maps(good):
        wrong = np.eye(3)[[1, 2, 0]]
        lookup = np.vstack([np.eye(3) if good else wrong, np.full((253, 3), 1 / 3)])
        return {fold: {name: lookup[labels[name]].transpose(2, 0, 1) for name in own} for fold, own in valid.items()}

    run = make_run(tmp_path, "v", config, {"best": maps(False), "ema": maps(True)}, valid)
    for fold in valid:
        void = fold == 1
        scores = {"best": float("nan") if void else 0.2, "ema": float("nan") if void else 0.9}
        run.fold(fold).finish({"candidates": scores, "metric": "miou"})
    choice = tune([run], competition, config)
    assert choice.runs[0].checkpoint == "ema"
    assert choice.scores == pytest.approx({"before": 0.0, "after": 1.0})


class Layers:
    """An image of two classes that overlap: class 0 is at 0.3 before 0.1, class 1 at 0.9 before 0.6."""

    image = ""

    def __init__(self, number, name="i{}"):
        rng = np.random.default_rng(number)
        self.id, self.fold = name.format(number), number % 3
        self.mask = (rng.random((2, 7, 9)) < 0.4).astype(np.uint8)

    def read(self, view, run, checkpoint):
        low, high = np.array([0.1, 0.6])[:, None, None], np.array([0.3, 0.9])[:, None, None]
        return [np.rint(255 * np.where(self.mask, high, low)).astype(np.uint8)]

    def prediction(self, mix, competition, read):
        return Prediction(self.id, 0, merged_map(read, mix))

    def truth(self, competition):
        return Label.whole(self.mask)


class PerClassDice(CompetitionMetric):
    """Mean over images and classes."""

    name = "per_class_dice"

    def image_stats(self, mask, label):
        return np.array([dice(a, b) for a, b in zip(mask, label.values, strict=True)])

    def per_image(self, stats):
        return stats.mean(-1)


def test_classes_that_overlap_are_tuned_class_by_class():
    labels = LabelSpec("multilabel", ("fog", "haze"))
    images = [Layers(number) for number in range(9)]
    scorer = Scorer(images, SimpleNamespace(metric=PerClassDice(labels), labels=labels, images=PLAIN))
    start = Setting(("best",), (1.0,), PostConfig())
    values = tunable_values(start.post, labels, {"threshold": [0.2, 0.5, 0.8], "fill_holes": [0], "min_area": [0]})
    steps = [Coordinate(value.name, partial(_moves, value), ordered=True) for value in values]
    walked = walk(start, steps, parts_of(images, None), scorer, scorer.metric.score)
    assert walked.chosen.post.threshold == (0.2, 0.8)
    assert all(setting.post.threshold == (0.2, 0.8) for setting in walked.of_part.values())
    assert scorer.metric.score(scorer.stats(walked.chosen)) == 1.0
    assert scorer.metric.score(scorer.stats(start)) < 0.7


def test_images_that_are_scored_together_are_looked_at_together():
    """Slices of two volumes that come mixed: the rows are those of whole volumes, in the order of the images."""
    labels = LabelSpec("multilabel", ("fog", "haze"))
    images = [Layers(number, f"day{number % 2}_slice_{{:02}}") for number in range(7)]
    metric = build_metric("gi_tract", labels)
    scorer = Scorer(images, SimpleNamespace(metric=metric, labels=labels, images=PLAIN))
    settings = [Setting(("best",), (1.0,), PostConfig(threshold=t)) for t in (0.5, (0.2, 0.8))]
    scorer.look(settings)
    found = [scorer.stats(setting) for setting in settings]
    wrong = np.stack([np.zeros((7, 9), np.uint8), np.ones((7, 9), np.uint8)])
    rows = [metric.image_stats(wrong, Label.whole(image.mask)) for image in images]
    np.testing.assert_array_equal(found[0], gathered_stats(metric, [image.id for image in images], rows))
    assert metric.score(found[1]) == 1.0


def test_a_step_of_ones_own_is_tuned_and_sees_the_image(config, competition, truth, tmp_path, monkeypatch):
    """The maps are the truth at 0.3, and the images are reddish where the truth is."""
    (tmp_path / "red_steps.py").write_text(
        """
from maskfold.inference.decoding import Step


class Red(Step):
    stage = "probability"
    needs_image = True
    tried = {"gain": (0.0, 0.2, 0.3)}

    def __init__(self, gain=0.0):
        self.gain = gain

    def __call__(self, layers, image):
        return layers + self.gain * (image[..., 0] > 130)
"""
    )
    monkeypatch.syspath_prepend(tmp_path)
    valid = thirds(truth)
    run = make_run(tmp_path, "a", config, {"best": by_fold(valid, lambda n: 0.3 * np.ones_like(truth[n]))}, valid)
    asked = override(config, {**tried([0.5]), "post.steps": {"red_steps:Red": {}}})
    choice = tune([run], competition, asked)
    assert choice.post.steps == {"red_steps:Red": {"gain": 0.3}}
    assert choice.scores["before"] < 0.2
    assert choice.scores["after"] > 0.9
    assert evaluate_oof(choice, competition).score == pytest.approx(choice.scores["after"])
