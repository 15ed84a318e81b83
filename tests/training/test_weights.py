"""How often images are drawn follows from what networks of the same fold say about them, and from nothing else."""

import json

import numpy as np
import pytest
from tests.drawn_runs import constant_run, dice, truth_of, write_folds_csv

from maskfold.config import Config, WeightsConfig, override
from maskfold.datasets import fold_splits
from maskfold.errors import ConfigError, RunError, TrainingError
from maskfold.inference.predict import Prediction
from maskfold.labels import Label, LabelSpec
from maskfold.runs import Run
from maskfold.training import Callback, fit
from maskfold.training import weights as weights_module
from maskfold.training.data import fold_data
from maskfold.training.optimism import optimistic
from maskfold.training.weights import agreement_of, weights_of

RUNS = ("runs/a",)


def test_weights_by_hand():
    agreement = np.array([[1.0, 0.9], [0.5, 0.1], [0.2, 0.0], [0.8, 0.8]])
    hardness = 1 - agreement.mean(1) + 0.05
    plain = weights_of(agreement, WeightsConfig(runs=RUNS, hard=1))
    np.testing.assert_allclose(plain, (hardness / hardness.mean()).clip(0.25, 4))
    assert plain.argmax() == 2
    # The best of the runs agrees least with the third image, then with the second.
    cleaned = weights_of(agreement, WeightsConfig(runs=RUNS, doubtful=0.5))
    np.testing.assert_allclose(cleaned, [1, 0.25, 0.25, 1])
    # One run agrees least of all with the first image, but the other one sees nothing wrong with it.
    disputed = np.array([[0.9, 0.0], [0.5, 0.4], [0.8, 0.7]])
    np.testing.assert_allclose(weights_of(disputed, WeightsConfig(runs=RUNS, doubtful=0.34)), [1, 0.25, 1])
    both = weights_of(agreement, WeightsConfig(runs=RUNS, hard=1, doubtful=0.25))
    np.testing.assert_allclose(both, [*plain[:2], 0.25, plain[3]])
    assert plain[2] * 0.25 > 0.25, "the third is the hardest, too: a quarter of that would be more than was said"
    with pytest.raises(ConfigError, match="hard and doubtful are both 0"):
        override(Config(), {"data.weights": {"runs": RUNS}})


@pytest.mark.parametrize("task", ["binary", "multiclass", "multilabel"])
def test_agreement_is_a_mean_over_classes(task):
    labels = LabelSpec(task, ("a",) if task == "binary" else ("a", "b", "c"))
    rng = np.random.default_rng(1)
    mask = rng.integers(0, labels.highest + 1, labels.mask_shape((9, 11))).astype(np.uint8)
    valid = rng.random((9, 11)) > 0.2
    probability = rng.random((labels.channels, 9, 11)).astype(np.float32)

    class One:
        def scored_label(self, sample):
            return Label(np.where(valid, mask, 0).astype(np.uint8), valid)

    One.labels = labels
    samples = type("S", (), {"by_id": {"x": None}})
    found = agreement_of(Prediction("x", 0, probability), One(), samples)
    if task == "multiclass":
        decided = probability.argmax(0)
        layers = [((decided == c) & valid, (mask == c) & valid) for c in (1, 2)]
    else:
        layers = list(zip((probability >= 0.5) & valid, (mask.reshape(-1, 9, 11) > 0) & valid, strict=True))
    assert found == pytest.approx(np.mean([dice(a, b) for a, b in layers]))
    empty = Prediction("x", 0, np.zeros((labels.channels, 9, 11), np.float32))
    mask[:] = 0
    assert agreement_of(empty, One(), samples) == 1.0


@pytest.fixture
def weighed(config, tmp_path):
    def make(*sources, name="weighed", **options):
        keys = {"name": name, "data.weights": {"runs": [str(run.path) for run in sources], **options}}
        return Run.create(override(config, keys), tmp_path / "runs")

    return make


def test_a_fold_asks_networks_of_that_fold_about_its_training_images(config, drawn, weighed, tmp_path):
    """Fold 0's network sees buildings everywhere, fold 1's nowhere: each is right about other images."""
    truth = truth_of(drawn)
    source = constant_run(tmp_path / "runs", "a", config, {0: 9.0, 1: -9.0, 2: 0.5})
    run = weighed(source, hard=2.0)
    for fold, whole in ((0, True), (1, False)):
        data = fold_data(run, fold, needs=frozenset())
        stored = json.loads((run.fold(fold).path / "agreement.json").read_text())["agreement"]
        train = fold_splits(run.folds(), fold)[0]["id"]
        assert set(stored) == set(train)
        expected = {n: dice(np.full_like(truth[n], whole), truth[n]) for n in train}
        assert {n: values[0] for n, values in stored.items()} == pytest.approx(expected)
        hardness = np.array([1.05 - expected[n] for n in data.train.dataset.samples.ids]) ** 2
        np.testing.assert_allclose(data.sampler.weights, (hardness / hardness.mean()).clip(0.25, 4))
    assert not optimistic(run, 0)


def test_the_mark_of_who_weighs_is_passed_on(config, weighed, tmp_path):
    source = constant_run(tmp_path / "runs", "a", config, {0: 1.0}, optimistic=True)
    assert optimistic(weighed(source, hard=1.0), 0)


def test_networks_look_once_whatever_views_they_predict_with(config, weighed, tmp_path, monkeypatch):
    asked, original = [], weights_module.predict_samples

    def predict_samples(choice, *arguments, **options):
        asked.append(choice.tta.views)
        return original(choice, *arguments, **options)

    monkeypatch.setattr(weights_module, "predict_samples", predict_samples)
    source = constant_run(tmp_path / "runs", "a", override(config, {"tta.views": "d4"}), {0: 1.0})
    fold_data(weighed(source, hard=1.0), 0, needs=frozenset())
    assert asked == ["none"]


def test_what_was_asked_is_kept(config, weighed, tmp_path, monkeypatch):
    run = weighed(constant_run(tmp_path / "runs", "a", config, {0: 1.0, 1: 1.0, 2: 1.0}), doubtful=0.2)
    first = fold_data(run, 0, needs=frozenset()).sampler.weights
    monkeypatch.setattr("maskfold.training.weights.predict_samples", lambda *a, **k: pytest.fail("asked again"))
    assert (fold_data(run, 0, needs=frozenset()).sampler.weights == first).all()
    assert set(first) == {0.25, 1.0}


@pytest.mark.slow
def test_a_training_does_not_go_on_with_other_weights_of_images_than_it_was_begun_with(config, weighed, tmp_path):
    class StopAfterOne(Callback):
        def on_epoch(self, session):
            return "enough" if session.epoch == 1 else None

    two = override(config, {"train.epochs": 2})
    source = constant_run(tmp_path / "runs", "a", two, {0: 1.0, 1: 1.0, 2: 1.0})
    run = weighed(source, hard=1.0)
    fit(run, 0, [StopAfterOne()])
    constant_run(tmp_path / "runs", "a", two, {0: -2.0, 1: 1.0, 2: 1.0})
    with pytest.raises(RunError, match=r"begun with other predictions of the runs of data\.weights"):
        fit(run, 0)


def test_runs_that_saw_validation_images_are_refused(config, weighed, tmp_path):
    source = constant_run(tmp_path / "runs", "a", config, {0: 1.0, 1: 1.0, 2: 1.0})
    run = weighed(source, hard=1.0)
    ids = run.competition().samples("train").ids
    valid = {fold: sorted(fold_splits(run.folds(), fold)[1]["id"]) for fold in range(3)}
    write_folds_csv(source.folds_path, ids, {**valid, 1: valid[1][1:]})
    fold_data(run, 0, needs=frozenset())
    with pytest.raises(TrainingError, match="weighing images by its networks would leak"):
        fold_data(run, 1, needs=frozenset())
