"""Batch norms adapted to the images that are predicted: to the test images, or to those that validate a fold."""

import pickle
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from tests.conftest import write_tianchi
from tests.drawn_runs import random_run

from maskfold.competitions import Samples
from maskfold.config import override
from maskfold.datasets import fold_splits
from maskfold.ensembling.checkpoints import ensure_oof, load_networks, oof_facts, oof_options
from maskfold.ensembling.ensemble import Ensemble
from maskfold.ensembling.export import export_ensemble
from maskfold.ensembling.rasters import RasterEnsemble
from maskfold.ensembling.shards import Shards
from maskfold.ensembling.submit import default_choice, predict_samples
from maskfold.errors import ConfigError, ExportError
from maskfold.inference.batch_norm import batch_norm_statistics
from maskfold.runs import Run
from maskfold.training import fit

PRIOR = {"tta.batch_norm_prior": 4}


@pytest.fixture
def run(config, tmp_path):
    return random_run(tmp_path, override(config, {**PRIOR, "tta.views": "flips"}), folds=(0, 1))


def ensemble_of(run, batch_size=2):
    return Ensemble(default_choice([run]), run.competition(), batch_size=batch_size, runs=[run])


def test_probabilities_do_not_depend_on_batches_order_or_shards(run):
    samples = run.competition().samples("test")
    expected = {p.id: p.probability for p in ensemble_of(run).predict(samples)}
    backwards = ensemble_of(run, batch_size=1).adapted(Samples(reversed(samples)))
    again = {p.id: p.probability for p in backwards.predict(Samples(reversed(samples)))}
    for first, second in zip(ensemble_of(run).adapted(samples).statistics[0], backwards.statistics[0], strict=True):
        assert all(torch.equal(first[name], second[name]) for name in first), "bit for bit"
    assert expected.keys() == again.keys() == set(samples.ids)
    for name in expected:
        np.testing.assert_allclose(again[name], expected[name], atol=1e-5)  # other batches have other last bits
    adapted = ensemble_of(run).adapted(samples)
    assert "parts" not in vars(adapted), "networks are not sent to processes"
    shards = [Shards(pickle.loads(pickle.dumps(adapted)), samples, True, count=2) for _ in range(2)]
    apart = {each.mask.id: each.probability for number, shard in enumerate(shards) for each in shard.stream(number)}
    assert all(np.array_equal(apart[name], expected[name]) for name in expected)
    plain = override(run.config, {"tta.batch_norm_prior": None})
    without = predict_samples(default_choice([run], plain), run.competition(), samples, batch_size=2, runs=[run])
    assert max(np.abs(p.probability - expected[p.id]).max() for p in without) > 0.02


def test_each_set_of_images_has_its_own_statistics(run):
    """An ensemble that has predicted some images predicts others as one that has not."""
    samples = run.competition().samples("test")
    used, fresh = ensemble_of(run), ensemble_of(run)
    list(used.predict(samples[:2]))
    for found, expected in zip(used.predict(samples[2:]), fresh.predict(samples[2:]), strict=True):
        assert np.array_equal(found.probability, expected.probability)


def test_each_folds_networks_are_adapted_on_their_own(run):
    samples = run.competition().samples("test")
    (statistics,) = ensemble_of(run).adapted(samples).statistics
    assert len(statistics) == 2
    own = [load_networks(run, run.fold(fold), "best", run.competition())[0] for fold in (0, 1)]
    for adapted, network in zip(statistics, own, strict=True):
        plain = batch_norm_statistics(network)
        assert adapted.keys() == plain.keys()
        first = next(name for name in plain if name.endswith("running_mean"))
        # Random networks have the statistics of a training that saw nothing: 0 and 1. There are five test images.
        assert adapted[first].abs().max() > 0
        network.load_state_dict(adapted, strict=False)
    assert not all(torch.equal(*(each[name] for each in statistics)) for name in statistics[0])


def test_out_of_fold_maps_know_the_statistics_of_their_validation_images_alone(config, tmp_path):
    root = write_tianchi(tmp_path / "data")
    config = override(config, {**PRIOR, "competition.root": str(root)})
    run = random_run(tmp_path, config)
    train, valid = (sorted(rows["id"]) for rows in fold_splits(run.folds(), 0))

    def maps():
        run.fold(0).oof("best").clear()
        store = ensure_oof(run, 0, "best", run.competition(), config.tta)
        return {name: store.read(name) for name in store.ids()}

    expected = maps()
    assert sorted(expected) == valid

    def darkened(name):
        path = str(root / "train" / name)
        cv2.imwrite(path, cv2.imread(path) // 4)

    for name in train:
        darkened(name)
    unchanged = maps()
    assert all(np.array_equal(unchanged[name], expected[name]) for name in valid), "no training image has a say"
    for name in valid[1:]:
        darkened(name)
    assert not np.array_equal(maps()[valid[0]], expected[valid[0]]), "the fold's own images have"


@pytest.mark.slow
def test_maps_of_a_training_are_those_that_are_computed_later(config, tmp_path):
    run = Run.create(override(config, {**PRIOR, "train.epochs": 1, "inference.batch_size": 3}), tmp_path)
    best = fit(run, 0)["best_checkpoint"]
    store, tta = run.fold(0).oof(best), run.config.tta
    assert store.made_with() == oof_facts(run.fold(0), best, tta)
    assert oof_options(tta)["batch_norm_prior"] == 4
    assert "batch_norm_prior" not in oof_options(tta.model_copy(update={"batch_norm_prior": None}))
    wanted = {name: store.read(name) for name in store.ids()}
    store.clear()
    again = ensure_oof(run, 0, best, run.competition(), tta)
    assert wanted
    assert all(np.array_equal(again.read(name), found) for name, found in wanted.items())


def test_what_keeps_the_statistics_of_training_is_refused(run, tmp_path):
    choice, competition = default_choice([run]), run.competition()
    said = r"tta\.batch_norm_prior is 4, .* set it to null"
    with pytest.raises(ExportError, match=said):
        export_ensemble(choice, [run], competition, tmp_path / "x.pt", form="torchscript")
    with pytest.raises(ExportError, match=said):
        next(replace(ensemble_of(run), engine="onnx").predict(competition.samples("test")))
    with pytest.raises(ConfigError, match=said):
        RasterEnsemble(replace(ensemble_of(run), batch_size=3))
