"""Out-of-fold predictions of several runs and folds, against numpy; when they are computed anew."""

import numpy as np
import pandas as pd
import pytest
import torch
from tests.drawn_runs import make_run, random_run

from maskfold.competitions import open_competition
from maskfold.config import override
from maskfold.ensembling import checkpoints
from maskfold.ensembling.checkpoints import ensure_oof, has_oof, oof_facts
from maskfold.ensembling.choice import Mix
from maskfold.ensembling.oof import candidate_table, oof_images
from maskfold.ensembling.view_weights import weighing
from maskfold.errors import InferenceError
from maskfold.inference.predict import Prediction

# Out-of-bag images overlap: most images are validated by more than one fold.
OUT_OF_BAG = {0: [0, 3, 4, 5, 9], 1: [3, 4, 8, 9, 12], 2: [4, 12, 13, 0]}


def random_maps(truth, valid, seed):
    rng = np.random.default_rng(seed)
    return {
        fold: {name: rng.random((1, *truth[name].shape)).astype(np.float32) for name in ids}
        for fold, ids in valid.items()
    }


@pytest.fixture
def two_runs(config, truth, tmp_path):
    """Two bootstrapped runs that validated the same images, by other folds."""
    names = sorted(truth)
    valid = {fold: [names[i] for i in chosen] for fold, chosen in OUT_OF_BAG.items()}
    other = {0: valid[2], 1: valid[0] + valid[1][2:3], 2: valid[1]}
    made = []
    for name, seed, division in (("a", 1, valid), ("b", 2, other)):
        maps = random_maps(truth, division, seed)
        made.append((make_run(tmp_path, name, config, {"ema": maps}, division), maps))
    return made


def test_maps_are_averaged_over_folds_then_over_runs(two_runs, config, competition):
    runs, maps = zip(*two_runs, strict=True)
    images = oof_images(runs, [["ema"], ["ema"]], competition, [config.tta] * 2)
    names = list(competition.samples("train").ids)
    assert [image.id for image in images] == [names[i] for i in (0, 3, 4, 5, 8, 9, 12, 13)]
    weights = (0.3, 0.7)
    counts = set()
    for image in images:
        expected = 0.0
        for weight, folds in zip(weights, maps, strict=True):
            found = [np.rint(folds[fold][image.id] * 255) / 255 for fold in folds if image.id in folds[fold]]
            counts.add(len(found))
            expected = expected + weight * np.mean(found, axis=0)
        probability = image.probability(Mix(("ema", "ema"), weights))
        assert probability.dtype == np.float32
        np.testing.assert_allclose(probability, expected, atol=1e-6)
    assert counts == {1, 2, 3}


def test_parts_are_the_first_runs_first_fold(two_runs, config, competition):
    """Every image is in one fold only, although several folds validated it."""
    runs = [run for run, _ in two_runs]
    images = oof_images(runs, [["ema"], ["ema"]], competition, [config.tta] * 2)
    names = list(competition.samples("train").ids)
    found = {names.index(image.id): image.fold for image in images}
    assert found == {0: 0, 3: 0, 4: 0, 5: 0, 9: 0, 8: 1, 12: 1, 13: 2}


def test_the_truth_comes_along(two_runs, config, competition, truth):
    run, _ = two_runs[0]
    for image in oof_images([run], [["ema"]], competition, [config.tta]):
        assert np.array_equal(image.truth(competition).values, truth[image.id])


def test_classes_are_kept_apart(streets, tmp_path):
    config, labels = streets
    competition = open_competition(config.competition)
    valid = {0: list(labels)[:2], 1: list(labels)[2:]}
    rng = np.random.default_rng(0)
    maps = {
        fold: {name: rng.dirichlet([1, 2, 3], labels[name].shape).transpose(2, 0, 1) for name in ids}
        for fold, ids in valid.items()
    }
    run = make_run(tmp_path, "s", config, {"best": maps}, valid)
    images = oof_images([run], [["best"]], competition, [config.tta])
    assert len(images) == 6
    for image in images:
        expected = maps[image.fold][image.id]
        assert image.probability(Mix(("best",), (1.0,))).shape == (3, *labels[image.id].shape)
        np.testing.assert_allclose(image.probability(Mix(("best",), (1.0,))), expected, atol=1 / 509)
        label = image.truth(competition)
        assert np.array_equal(np.where(label.valid, label.values, 255), labels[image.id])


@pytest.fixture
def counted(monkeypatch):
    """`predict_batches` that notes the images it saw and answers with a gradient."""
    seen = []

    def predict(models, loader, *, labels, tta, window_batch, weights, seed, device, precision):
        for batch in loader:
            for image_id, size in zip(batch["id"], batch["size"], strict=True):
                seen.append((image_id, tta.views))
                columns = np.linspace(0, 1, size[1], dtype=np.float32)
                yield Prediction(image_id, 0, np.broadcast_to(columns, (1, *size)), None)

    monkeypatch.setattr(checkpoints, "predict_batches", predict)
    monkeypatch.setattr(checkpoints, "load_networks", lambda *arguments: [])
    return seen


def test_maps_are_computed_where_they_are_missing_or_made_otherwise(two_runs, config, competition, truth, counted):
    run, maps = two_runs[0]
    same = ensure_oof(run, 1, "ema", competition, config.tta)
    assert counted == []
    assert np.array_equal(same.read(same.ids()[0]), np.rint(maps[1][same.ids()[0]] * 255))

    changes = {"dropout_passes": 2, "views": "d4", "scales": [1.0, 1.25], "merge": "logits", "window": 32}
    for key, value in {**changes, "overlap": 0.5}.items():
        changed = override(config, {f"tta.{key}": value}).tta
        counted.clear()
        store = ensure_oof(run, 1, "ema", competition, changed)
        assert sorted(name for name, _ in counted) == sorted(maps[1]), f"{key} changed: the fold's own images anew"
        assert store.made_with() == oof_facts(run.fold(1), "ema", changed)
        assert store.ids() == sorted(maps[1])
        width = truth[store.ids()[0]].shape[1]
        assert np.array_equal(store.read(store.ids()[0])[0, 5], np.rint(np.linspace(0, 255, width)))
        counted.clear()
        ensure_oof(run, 1, "ema", competition, changed)
        assert counted == [], "what is there is not computed again"
    # Batches and the checkpoint that is used untuned change no map.
    comfort = override(config, {"inference.batch_size": 3, "inference.checkpoint": "swa", "tta.overlap": 0.5})
    ensure_oof(run, 1, "ema", competition, comfort.tta)
    assert counted == []
    # Another kind has maps of its own.
    counted.clear()
    run.fold(0).save_checkpoint("best", {"a": torch.ones(1)})
    ensure_oof(run, 0, "best", competition, config.tta)
    assert sorted(name for name, _ in counted) == sorted(maps[0])
    assert run.fold(0).oof("ema").ids() == sorted(maps[0])


def test_maps_of_weights_that_were_trained_further_are_made_again(two_runs, config, competition, counted):
    """A fold that a raised ``train.max_hours`` lets go on gets other weights under the same name."""
    run, maps = two_runs[0]
    fold, merged = run.fold(1), override(config, {"tta.views": "hflip"}).tta
    ways = (merged, weighing(merged, (1, 0)), weighing(merged, (0, 1)))
    for tta in ways:
        ensure_oof(run, 1, "ema", competition, tta)
    counted.clear()
    fold.reopen()
    fold.save_checkpoint("ema", {"a": torch.ones(3)})
    fold.finish({"candidates": {"ema": 0.5}})
    for tta in ways:
        assert not has_oof(run, 1, "ema", competition, tta)
        ensure_oof(run, 1, "ema", competition, tta)
        assert has_oof(run, 1, "ema", competition, tta)
    assert len(counted) == len(ways) * len(maps[1])


def test_an_interrupted_computation_leaves_the_old_maps(two_runs, config, competition, monkeypatch):
    run, maps = two_runs[0]

    def broken(*arguments, **options):
        name = min(maps[1])
        yield Prediction(name, 0, np.zeros_like(maps[1][name]), None)
        raise InferenceError("no more")

    monkeypatch.setattr(checkpoints, "predict_batches", broken)
    monkeypatch.setattr(checkpoints, "load_networks", lambda *arguments: [])
    with pytest.raises(InferenceError, match="no more"):
        ensure_oof(run, 1, "ema", competition, override(config, {"tta.views": "flips"}).tta)
    store = run.fold(1).oof("ema")
    assert store.made_with() == oof_facts(run.fold(1), "ema", config.tta)
    assert store.read(min(maps[1])).any()
    assert len(run.storage.list("fold_1/oof/ema")) == 2, "one shard and the marker"


def test_runs_must_have_validated_the_same_images(two_runs, config, competition):
    (a, _), (b, _) = two_runs
    (b.fold(0).path / "summary.json").unlink()
    with pytest.raises(InferenceError, match=r"of 8 and 7 images, 7 in common"):
        oof_images([a, b], [["ema"], ["ema"]], competition, [config.tta] * 2)


def test_candidates_are_ranked_by_their_mean_over_folds(config, truth, tmp_path):
    names = sorted(truth)
    valid = {0: names[:9], 1: names[9:]}
    run = make_run(tmp_path, "a", config, {"best": random_maps(truth, valid, 0)}, valid)
    run.fold(0).finish({"candidates": {"best": 0.6, "ema": 0.7, "snapshots": 0.9}})
    run.fold(1).finish({"candidates": {"ema": 0.9, "best": 0.8, "swa": 0.99}})
    table = candidate_table(run)
    assert list(table.index) == ["ema", "best"], "only what both folds have"
    pd.testing.assert_frame_equal(table, pd.DataFrame({0: [0.7, 0.6], 1: [0.9, 0.8]}, index=["ema", "best"]))


def test_a_fold_that_could_not_be_scored_does_not_hide_the_others(config, truth, tmp_path):
    names = sorted(truth)
    valid = {0: names[:9], 1: names[9:]}
    run = make_run(tmp_path, "a", config, {"best": random_maps(truth, valid, 0)}, valid)
    run.fold(0).finish({"candidates": {"best": float("nan"), "ema": float("nan")}})
    run.fold(1).finish({"candidates": {"best": 0.6, "ema": 0.7}})
    table = candidate_table(run)
    assert list(table.index) == ["ema", "best"]
    assert table[1].tolist() == [0.7, 0.6]


@pytest.mark.slow
def test_maps_made_side_by_side_are_those_made_one_after_the_other(tiny, tmp_path, monkeypatch):
    """As on a machine with two GPUs, where each has a process."""
    config = override(tiny, {"tta.views": "flips"})
    runs = [random_run(tmp_path / place, config, folds=(0, 2), checkpoints=("best", "ema")) for place in ("a", "b")]
    competition, names = open_competition(config.competition), [["best", "ema"]]
    for run, processes in zip(runs, (1, 2), strict=True):
        monkeypatch.setattr("maskfold.ensembling.oof.default_processes", lambda count=processes: count)
        assert len(oof_images([run], names, competition, [config.tta])) == 12
    for fold, name in ((0, "best"), (0, "ema"), (2, "best"), (2, "ema")):
        one, two = (run.fold(fold).oof(name) for run in runs)
        assert one.ids() == two.ids()
        assert all((one.read(image_id) == two.read(image_id)).all() for image_id in one.ids())
    assert (
        len({runs[1].fold(fold).oof("best").read(runs[1].fold(fold).oof("best").ids()[0]).tobytes() for fold in (0, 2)})
        == 2
    )
