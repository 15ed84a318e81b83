"""Weights of many runs and of views: what is tried, what is found out of fold, and that prediction does the same."""

import numpy as np
import pytest
from tests.drawn_runs import make_run, random_run
from tests.ensembling.test_tune import by_fold, thirds

from maskfold.config import override
from maskfold.ensembling.checkpoints import drop_damaged_oof, ensure_oof, oof_facts
from maskfold.ensembling.choice import Mix
from maskfold.ensembling.oof import merged_map, oof_images
from maskfold.ensembling.submit import default_choice
from maskfold.ensembling.tune import tune
from maskfold.ensembling.view_weights import weighing
from maskfold.ensembling.weightings import with_share
from maskfold.errors import ConfigError
from maskfold.scoring.evaluate import evaluate_oof
from maskfold.scoring.label_shift import label_shift_oof
from maskfold.steps.tune import describe

PLAIN = {"tune.tried": {"threshold": [0.5], "fill_holes": [0], "min_area": [0]}}
NAMES = ("identity", "horizontal", "vertical", "both")


def test_one_weight_beside_the_others():
    found = with_share((0.1, 0.3, 0.6), 2)
    assert [each[2] for each in found] == [0, 1 / 8, 1 / 4, 1 / 2, 3 / 4, 1]
    assert found[3] == pytest.approx((0.125, 0.375, 0.5))
    assert found[5] == (0, 0, 1)
    assert with_share((1.0, 0.0), 0) == [(1.0, 0.0)], "not where nothing would weigh anything"
    assert with_share((1.0, 0.0), 1)[2] == (0.75, 0.25), "what was left out can come back"


def test_of_four_runs_those_that_are_wrong_are_left_out(config, competition, truth, tmp_path):
    config, valid = override(config, PLAIN), thirds(truth)

    def seen(good):
        return by_fold(valid, lambda n: 0.4 + 0.2 * truth[n] if good else 0.9 - 0.8 * truth[n])

    runs = [make_run(tmp_path, f"r{place}", config, {"best": seen(place == 1)}, valid) for place in range(4)]
    choice = tune(runs, competition, config)
    assert choice.scores["after"] == 1.0
    assert choice.weights == (0, 1, 0, 0), "they are 0.8 apart the other way round, the right run's map is by 0.2"


def store_views(run, seen, valid, tta):
    """Keep out-of-fold maps of each view, and those of all merged."""
    for view, weights in enumerate(np.eye(4)):
        alone = weighing(tta, weights.tolist())
        for fold, ids in valid.items():
            folder = run.fold(fold)
            with folder.oof(f"best.view_{view}").replace(oof_facts(folder, "best", alone)) as store:
                for name in ids:
                    store.write(name, seen[view][fold][name])


@pytest.fixture
def viewed(config, truth, tmp_path):
    """Networks that see the image rightly, and its mirror images less and less so."""
    config = override(config, {**PLAIN, "tta.views": "flips", "tune.views": True})
    valid, rng = thirds(truth), np.random.default_rng(0)
    noise = {name: rng.random((4, *mask.shape)) for name, mask in truth.items()}
    amounts = (0.3, 1.0, 0.9, 1.1)
    seen = [
        by_fold(valid, lambda n, v=v, a=a: np.clip(0.3 + 0.4 * truth[n] + a * (noise[n][v] - 0.5), 0, 1))
        for v, a in enumerate(amounts)
    ]
    merged = {f: {n: np.mean([one[f][n] for one in seen], 0) for n in valid[f]} for f in valid}
    run = make_run(tmp_path, "a", config, {"best": merged}, valid)
    store_views(run, seen, valid, config.tta)
    return run, config, seen


def test_the_view_that_sees_best_weighs_most(viewed, competition, truth):
    run, config, seen = viewed
    choice = tune([run], competition, config)
    weights = choice.tta.view_weights
    assert sum(weights) == pytest.approx(1)
    assert weights[0] > 0.5
    assert choice.scores["before"] < choice.scores["after"]
    images = oof_images([run], [["best"]], competition, [config.tta])
    image = images[3]
    expected = sum(w * one[image.fold][image.id] for w, one in zip(weights, seen, strict=True))
    looks = [oof_images([run], [["best"]], competition, [weighing(config.tta, one)])[3] for one in np.eye(4).tolist()]
    merged = merged_map(lambda view, *of: looks[view].levels(*of), Mix(("best",), (1.0,), weights))
    np.testing.assert_allclose(merged, expected, atol=1 / 250)
    said = describe(choice, competition.labels, config.post)
    assert f"views flips (weights {weights[0]:.2f}, " in said
    assert label_shift_oof(choice, competition) is None, "a view weighs more than its half-turn"


def test_weights_of_views_that_gain_nothing_are_not_kept(config, competition, truth, tmp_path):
    config = override(config, {**PLAIN, "tta.views": "flips", "tune.views": True})
    valid = thirds(truth)
    same = by_fold(valid, lambda n: 0.3 + 0.4 * truth[n])
    run = make_run(tmp_path, "a", config, {"best": same}, valid)
    store_views(run, [same] * 4, valid, config.tta)
    choice = tune([run], competition, config)
    assert choice.tta == config.tta
    assert choice.scores == {"before": 1.0, "after": 1.0}


def test_damaged_maps_of_a_view_are_dropped_too(viewed, caplog):
    """`predict --oof`, which their error names, must not leave them to tuning."""
    run, _, _ = viewed
    folder = run.fold(1).path / "oof/best.view_2"
    (shard,) = folder.glob("*.pngs")
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 1
    shard.write_bytes(content)
    drop_damaged_oof(run)
    assert "best.view_2: 1 maps are damaged" in caplog.text
    left = {store.prefix: len(store.ids()) for fold in map(run.fold, run.finished_folds()) for store in fold.all_oof()}
    assert len(left) == 3 * 5 - 1
    assert "fold_1/oof/best.view_2" not in left
    assert all(left.values())


@pytest.mark.slow
def test_prediction_weighs_views_as_tuning_did(config, tmp_path):
    """Networks at work: the maps of each view, merged here, are what prediction with these weights makes."""
    config = override(config, {"tta.views": "flips"})
    run = random_run(tmp_path, config)
    competition, weights = run.competition(), (0.5, 0.25, 0.0, 0.25)
    whole = ensure_oof(run, 0, "best", competition, weighing(config.tta, weights))
    wanted = {name: whole.read(name) / 255 for name in whole.ids()}
    views = [ensure_oof(run, 0, "best", competition, weighing(config.tta, one)) for one in np.eye(4).tolist()]
    for name, expected in wanted.items():
        merged = sum(weight * store.read(name) / 255 for weight, store in zip(weights, views, strict=True))
        np.testing.assert_allclose(merged, expected, atol=1.01 / 255)
        assert np.ptp([store.read(name) for store in views], axis=0).max() > 5, "views differ"
    choice = default_choice([run]).model_copy(update={"tta": weighing(config.tta, weights)})
    assert whole.made_with() == oof_facts(run.fold(0), "best", choice.tta)
    assert evaluate_oof(choice, competition).score >= 0


def test_one_view_has_no_weights_to_find(config, competition, truth, tmp_path):
    valid = thirds(truth)
    run = make_run(tmp_path, "a", config, {"best": by_fold(valid, lambda n: 1.0 * truth[n])}, valid)
    with pytest.raises(ConfigError, match=r"tune\.views is true, but tta\.views is none .*set tta\.views to flips"):
        tune([run], competition, override(config, {"tune.views": True}))
