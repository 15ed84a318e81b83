"""What a config leaves open is measured once and written into the run."""

import weakref

import pytest

from maskfold.config import load_config, override
from maskfold.config.undecided import open_keys
from maskfold.errors import ConfigError, RunError, TrainingError
from maskfold.runs import Run
from maskfold.steps import settle as module
from maskfold.steps.settle import settle, trial_run
from maskfold.steps.together import with_batch
from maskfold.steps.train import train
from maskfold.training import fit
from maskfold.training.forecast import Pace
from maskfold.training.trial import Trial

OPEN = {"train.batch_size": "auto", "inference.batch_size": "auto", "train.hours": 0.05, "train.epochs": None}


def test_what_is_open(tiny):
    assert open_keys(tiny) == []
    opened = override(tiny, OPEN)
    assert open_keys(opened) == ["train.batch_size", "inference.batch_size", "train.hours"]
    assert opened.model_dump()["train"]["batch_size"] == "auto"
    assert open_keys(override(opened, {"train.iterations": 3})) == ["train.batch_size", "inference.batch_size"]


@pytest.mark.parametrize("size", ["0", "-3", "large"])
def test_other_batches_are_refused(size):
    with pytest.raises(ConfigError, match=r"train\.batch_size"):
        load_config(None, {"train.batch_size": size})


def test_hours_and_epochs_exclude_each_other():
    with pytest.raises(ConfigError, match=r"hours is 2 and epochs is 30: set epochs to null"):
        load_config(None, {"train.hours": "2"})


def test_an_open_config_is_not_trained(tiny, here):
    with pytest.raises(
        TrainingError, match=r"train\.batch_size is auto and inference\.batch_size is auto and train\.hours"
    ):
        fit(Run.create(override(tiny, OPEN), here), 0)


def test_several_processes_measure_nothing(tiny):
    with pytest.raises(ConfigError, match=r"train\.batch_size, inference\.batch_size, train\.hours would have to be"):
        settle(override(tiny, OPEN), alone=False)
    assert settle(tiny, alone=False) == tiny


def test_what_was_found_is_in_the_run_and_holds_for_its_other_folds(tiny, here, monkeypatch, capsys):
    monkeypatch.setattr(Trial, "training_pace", lambda self: Pace(batch=35.0, start=1))
    monkeypatch.setattr(Trial, "prediction_pace", lambda self: Pace(image=0.5, plain=0.25))
    asked = override(tiny, {**OPEN, "train.oof_checkpoints": 1, "tta.views": "none"})
    run = train(asked, 0)
    # 180 s, less 5 %. Three batches of four images are an epoch; six images are validated after each, scored, and leave
    # maps: four steps are 1 + 4 * 35 + 2 * 6 / 4 + 6 / 4 + 6 / 2 s, a fifth one does not fit.
    found = run.config
    assert (found.train.batch_size, found.inference.batch_size) == (4, 32)
    assert found.train.iterations == 4
    assert (found.train.hours, found.train.epochs) == (0.05, None)
    assert run.fold(0).summary()["steps"] == 4
    said = capsys.readouterr().out
    assert "train.batch_size: 4 images, found on this device\n" in said
    assert "train.hours 0.05: 4 steps, 1.3 epochs, for the fold; 35 s per batch" in said

    def forbidden(*_):
        raise AssertionError("measured again")

    monkeypatch.setattr(module, "trial_run", forbidden)
    train(asked, 1)
    assert Run.open(run.path).config == found
    assert run.fold(1).summary()["steps"] == 4
    with pytest.raises(RunError, match=r"train\.hours: 0\.05 -> 0\.06"):
        train(override(asked, {"train.hours": 0.06}), 2)


def test_the_first_folds_are_trained_where_the_config_says_how_many(tiny, here, monkeypatch):
    trained = []
    monkeypatch.setattr("maskfold.steps.train._train_fold", lambda run, fold: trained.append(fold))
    config = override(tiny, {"folds.count": 4, "folds.trained": 2})
    train(config)
    train(override(config, {"folds.trained": None}), [3])
    assert trained == [0, 1, 3]
    seen = {}
    monkeypatch.setattr("maskfold.steps.train.settle", lambda config, **asked: seen.update(asked) or config)
    train(config)
    assert seen["folds"] == 2


def test_ways_of_training_are_tried_once_and_written_into_the_run(tiny, here, monkeypatch, capsys):
    asked = override(tiny, {"train.channels_last": "auto", "train.compile": "auto", "train.oof_checkpoints": 1})
    assert open_keys(asked) == ["train.channels_last", "train.compile"]
    with pytest.raises(TrainingError, match=r"train\.channels_last is auto and train\.compile is auto"):
        fit(Run.create(override(asked, {"name": "unsettled"}), here), 0)
    tried = {}

    def chosen(ways, opened, images):
        for way in ways:
            with opened(way) as trial:
                tried[way] = trial.session.config.train
        assert images == tiny.train.batch_size
        return (False, False)

    monkeypatch.setattr(module, "fastest", chosen)
    run = train(asked, 0)
    assert list(tried) == [(True, False), (True, True), (False, False), (False, True)], "the usual one first"
    assert all((train.channels_last, train.compile) == way for way, train in tried.items())
    assert Run.open(run.path).config.train == tiny.train.model_copy(
        update={"channels_last": False, "compile": False, "oof_checkpoints": 1}
    )
    assert "train.channels_last: false, train.compile: false, faster on this device" in capsys.readouterr().out
    monkeypatch.setattr(module, "trial_run", None)  # nothing is measured again
    train(asked, 1)
    assert run.fold(1).summary()["epochs"] == run.fold(0).summary()["epochs"]


@pytest.mark.slow
def test_a_layout_is_measured(tiny, here):
    found = settle(override(tiny, {"train.channels_last": "auto"}))
    assert found.train.channels_last in (True, False)
    assert override(found, {"train.channels_last": "auto"}) == override(tiny, {"train.channels_last": "auto"})


def test_one_opened_training_settles_both_batches_and_is_not_charged_with_folds(tiny, here, monkeypatch):
    opened = []
    real = Trial.__init__

    def init(self, run, *args, **options):
        opened.append(run.storage.exists("folds.csv"))
        real(self, run, *args, **options)

    monkeypatch.setattr(Trial, "__init__", init)
    found = settle(override(tiny, {**OPEN, "train.hours": None, "train.epochs": 2}))
    assert (found.train.batch_size, found.inference.batch_size) == (4, 32)
    assert opened == [True]


def test_a_trial_gives_its_memory_back(tiny, here):
    with trial_run(tiny) as run, Trial(run) as trial:
        network = weakref.ref(trial.session.network)
        trial.train(2)
    assert network() is None


def test_a_trial_leaves_nothing_behind(tiny, here):
    with trial_run(override(tiny, {"model.encoder_weights": "imagenet"})) as run:
        assert run.config.model.encoder_weights is None
        Trial(run).time_saving()
    assert not run.path.exists()
    assert list(here.iterdir()) == []


def test_prediction_may_ask_for_a_batch_too(tiny):
    assert with_batch(tiny) is tiny
    assert with_batch(override(tiny, {"inference.batch_size": "auto"})).inference.batch_size == 32
