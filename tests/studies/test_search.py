"""Searches: what may be tried, pruning, and trials that go on after an interruption."""

import copy
import math
from types import SimpleNamespace

import pandas as pd
import pytest
import torch
import yaml
from tests.conftest import TINY

from maskfold.config import load_config
from maskfold.errors import BusyError, ConfigError, StorageError, StudyError, TrainingError
from maskfold.runs import Run
from maskfold.studies.plan import Plan
from maskfold.studies.study import load_study

optuna = pytest.importorskip("optuna", reason="optuna is not installed")

from maskfold.studies import search as module  # noqa: E402
from maskfold.studies.run import run_study  # noqa: E402

TRAIN = module._train
SEARCH = {
    "trials": 4,
    "folds": [0],
    "space": {
        "optim.lr": {"low": 1e-4, "high": 1e-1, "log": True},
        "train.batch_size": {"low": 2, "high": 4},
        "loss": [None, [{"name": "bce", "weight": 0.5}]],
    },
}


OPTIONS = {key: value for key, value in TINY.items() if key != "tune.tried"}


def plan(folder, search=None, **more):
    tree = {"about": "x", "config": "demo", "options": OPTIONS, "folds": [1], "variants": {"default": {}}, **more}
    (folder / "s.yaml").write_text(yaml.safe_dump({**tree, "search": {**copy.deepcopy(SEARCH), **(search or {})}}))
    return Plan(load_study(folder / "s.yaml"), folder / "runs")


def one_by_one(work, tasks):
    for task in tasks:
        work(*task)


class Surface:
    """In the place of training: a score that is best at a learning rate of 0.01, and notes of what was tried."""

    def __init__(self, monkeypatch, stop_at=None):
        self.tried, self.stop_at = [], stop_at
        monkeypatch.setattr(module, "_train", self)
        monkeypatch.setattr(module, "open_competition", lambda config: SimpleNamespace(root="."))
        monkeypatch.setattr(module, "with_root", lambda config, competition: config)

    def __call__(self, plan, root, options, trial):
        self.tried.append(dict(options))
        if len(self.tried) == self.stop_at:
            raise KeyboardInterrupt
        lr = options["optim.lr"]
        return 1 - abs(lr - 0.01) - (options["loss"] is None) * 0.01


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"space": {"optim.lr": {"low": 0.1, "high": 0.01}}}, "low is 0.1 and high is 0.01"),
        ({"space": {"optim.lr": {"low": 0, "high": 1, "log": True}}}, "with log it must be above 0"),
        ({"space": {"optim.lr": [0.1, 0.1]}}, "a choice is given twice"),
        ({"folds": [1, 2]}, r"search.folds is \[1, 2\] and folds is \(1,\)"),
        ({"trails": 3}, "unknown key search.trails: did you mean search.trials"),
    ],
)
def test_what_does_not_fit_is_refused(changes, message, tmp_path):
    with pytest.raises(ConfigError, match=message):
        plan(tmp_path, changes)


def test_a_value_that_the_config_would_refuse_is_found_before_the_first_trial(tmp_path, monkeypatch):
    surface = Surface(monkeypatch)
    with pytest.raises(ConfigError, match=r"search.space: .*train.batch_size: 0 is neither"):
        module.search(plan(tmp_path, {"space": {"train.batch_size": {"low": 0, "high": 4}}}), one_by_one)
    assert not surface.tried


def test_the_configs_own_values_come_first_and_the_best_is_written(tmp_path, monkeypatch, capsys):
    surface, asked = Surface(monkeypatch), plan(tmp_path)
    chosen = module.search(asked, one_by_one)
    assert surface.tried[0] == {"optim.lr": 0.01, "train.batch_size": 4, "loss": None}
    assert len(surface.tried) == 4
    best = max(surface.tried, key=lambda each: 1 - abs(each["optim.lr"] - 0.01) - (each["loss"] is None) * 0.01)
    assert chosen == best
    written = load_config(tmp_path / "runs/winner.yaml")
    assert {"optim.lr": written.optim.lr, "train.batch_size": written.train.batch_size, "loss": written.loss} == best
    assert "trial 4 of 4" in capsys.readouterr().out
    assert module.trials_ended(asked) == 4
    # Asked again, there is nothing to try.
    assert module.search(asked, one_by_one) == chosen
    assert len(surface.tried) == 4


def test_a_choice_written_otherwise_than_the_config_keeps_it_is_its_own_value(tmp_path, monkeypatch):
    surface = Surface(monkeypatch)
    choices = {"optim.lr": [0.001, 1e-2], "optim.encoder_lr_factor": [0.5, 1]}
    asked = plan(tmp_path, {"trials": 1, "space": {"loss": SEARCH["space"]["loss"], **choices}})
    assert asked.common.optim.encoder_lr_factor == 1.0
    module.search(asked, one_by_one)
    assert surface.tried == [{"loss": None, "optim.lr": 0.01, "optim.encoder_lr_factor": 1}]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"options": {"optim.weight_decay": 0.5}}, r"optim.weight_decay: 0.01 -> 0.5"),
        ({"search": {"folds": [2]}}, r"search.folds: \[0\] -> \[2\]"),
        (
            {"search": {"space": {"optim.lr": {"low": 1e-5, "high": 1e-4}}}},
            r"search.space.optim.lr.high: 0.1 -> 0.0001",
        ),
        ({"search": {"prune": False}}, "search.prune: true -> false"),
    ],
)
def test_trials_that_were_made_otherwise_are_not_ranked_together(changes, message, tmp_path, monkeypatch):
    surface = Surface(monkeypatch)
    module.search(plan(tmp_path, {"trials": 2}), one_by_one)
    options = {**OPTIONS, **changes.get("options", {})}
    with pytest.raises(StudyError, match=rf"made otherwise \(.*{message}.*another --name"):
        module.search(plan(tmp_path, changes.get("search"), options=options), one_by_one)
    assert len(surface.tried) == 2
    # More trials, and what changes no result, are the same search.
    module.search(plan(tmp_path, {"trials": 3}, options={**OPTIONS, "data.workers": 1}), one_by_one)
    assert len(surface.tried) == 3


@pytest.mark.slow
def test_an_interrupted_search_ends_as_if_it_had_not_been(tmp_path, monkeypatch):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    whole = Surface(monkeypatch)
    module.search(plan(tmp_path / "a"), one_by_one)
    broken = Surface(monkeypatch, stop_at=3)
    with pytest.raises(KeyboardInterrupt):
        module.search(plan(tmp_path / "b"), one_by_one)
    rest = Surface(monkeypatch)
    module.search(plan(tmp_path / "b"), one_by_one)
    assert broken.tried[2] == rest.tried[0]
    assert [*broken.tried[:2], *rest.tried] == whole.tried


def test_trials_that_broke_after_a_validation_are_no_result(tmp_path, monkeypatch):
    Surface(monkeypatch)

    def broken(plan, root, options, trial):
        trial.report(0.4, 1)
        raise TrainingError("the loss is not finite")

    monkeypatch.setattr(module, "_train", broken)
    with pytest.raises(StudyError, match="none of 4 trials of the search finished"):
        module.search(plan(tmp_path), one_by_one)


@pytest.mark.parametrize("error", [StorageError("the disk is full"), BusyError("another process works on it")])
def test_trials_are_not_used_up_by_what_says_nothing_of_them(tmp_path, monkeypatch, error):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    whole = Surface(monkeypatch)
    module.search(plan(tmp_path / "a"), one_by_one)
    broken = Surface(monkeypatch)

    def trained(plan, root, options, trial):
        if len(broken.tried) == 2:
            raise error
        return broken(plan, root, options, trial)

    monkeypatch.setattr(module, "_train", trained)
    with pytest.raises(type(error)):
        module.search(plan(tmp_path / "b"), one_by_one)
    assert module.trials_ended(plan(tmp_path / "b")) == 2
    rest = Surface(monkeypatch)
    module.search(plan(tmp_path / "b"), one_by_one)
    assert [*broken.tried, *rest.tried] == whole.tried


def test_a_search_that_goes_on_is_left_alone(tmp_path, monkeypatch):
    surface = Surface(monkeypatch)

    def trained(plan_, root, options, trial):
        score = surface(plan_, root, options, trial)
        if len(surface.tried) == 1:
            with pytest.raises(BusyError, match=r"search\.db.*--parallel"):
                module.search(plan(tmp_path, {"trials": 1}), one_by_one)
        return score

    monkeypatch.setattr(module, "_train", trained)
    module.search(plan(tmp_path, {"trials": 1}), one_by_one)
    assert len(surface.tried) == 1


@pytest.mark.parametrize("error", [torch.OutOfMemoryError("CUDA out of memory"), MemoryError()])
def test_a_trial_that_no_memory_holds_ends_alone(tmp_path, monkeypatch, error, capsys):
    surface = Surface(monkeypatch)

    def trained(plan, root, options, trial):
        score = surface(plan, root, options, trial)
        if len(surface.tried) == 2:
            raise error
        return score

    monkeypatch.setattr(module, "_train", trained)
    module.search(plan(tmp_path), one_by_one)
    assert len(surface.tried) == module.trials_ended(plan(tmp_path)) == 4
    assert "Best of 4 trials" in capsys.readouterr().out


def test_numbers_are_tried_in_three_digits_and_choices_as_they_are():
    assert module._options({"a": 0.0123456, "b": "[1, null]", "c": 12345}) == {"a": 0.0123, "b": [1, None], "c": 12345}


def test_nothing_is_pruned_in_the_first_third_or_beside_too_few_trials(tmp_path):
    study = module._open(plan(tmp_path, {"trials": 30}, options={**OPTIONS, "train.epochs": 9}))
    assert (study.pruner._n_warmup_steps, study.pruner._n_startup_trials) == (3, 5)


class Trained:
    """In the place of runs and trainings: folds whose scores are given, and what is done with them."""

    def __init__(self, monkeypatch, scores):
        self.scores, self.done, self.adopted, self.reported = scores, [], [], []
        monkeypatch.setattr(module, "Run", lambda path: self)
        monkeypatch.setattr(module, "fit", lambda run, fold, callbacks: self.done.append(fold))
        monkeypatch.setattr(module, "read_epochs", lambda fold: pd.DataFrame({"epoch": [1, 2], "best": fold.best}))

    def adopt(self, config):
        self.config = config
        self.adopted.append(config)

    def fold(self, number):
        score = self.scores[number]
        return SimpleNamespace(finished=lambda: number in self.done, summary=lambda: {"score": score}, best=score)

    def report(self, score, step):
        """What a trial of Optuna's is told."""
        self.reported.append((score, step))


def test_a_trial_is_the_mean_of_its_folds_whose_epochs_follow_each_other(tmp_path, monkeypatch):
    asked = plan(tmp_path, {"folds": [0, 2]}, seeds=[7, 8], options={**OPTIONS, "train.epochs": 5})
    trained = Trained(monkeypatch, {0: 0.5, 2: 0.75})
    assert module._train(asked, tmp_path, {"optim.lr": 0.02}, trained) == 0.625
    assert trained.done == [0, 2]
    assert trained.reported == [(0.5, 1), (0.5, 2), (0.75, 6), (0.75, 7)]
    module._train(asked, tmp_path, {"optim.lr": 0.02}, trained)
    assert trained.done == [0, 2], "what is finished is not trained again"
    (config, again) = trained.adopted
    assert (config.seed, config.optim.lr, config.name) == (7, 0.02, again.name)


def test_a_trial_without_a_score_says_so(tmp_path, monkeypatch, capsys):
    """A metric may have nothing to score in the images of a fold, such as a class that none of them has."""
    Surface(monkeypatch)
    monkeypatch.setattr(module, "_train", TRAIN)
    Trained(monkeypatch, {0: math.nan})
    with pytest.raises(StudyError, match="none of 1 trials of the search finished"):
        module.search(plan(tmp_path, {"trials": 1}), one_by_one)
    assert "no score: nothing in the images of folds [0] counts for the metric" in capsys.readouterr().out


def session_of(*rows):
    history = [{"epoch": epoch, "best": best} for epoch, best in rows]
    return SimpleNamespace(history=history, epoch=len(history))


def test_a_trial_that_lags_behind_the_median_is_pruned():
    study = optuna.create_study(direction="maximize", pruner=optuna.pruners.MedianPruner(2, n_warmup_steps=2))
    for scores in ([0.5, 0.6, 0.7], [0.6, 0.7, 0.8]):
        trial = study.ask()
        module.Pruning(trial, 0, prune=True).report([{"epoch": n, "best": s} for n, s in enumerate(scores, start=1)])
        study.tell(trial, scores[-1])
    for prune in (True, False):
        callback = module.Pruning(study.ask(), 0, prune=prune)
        callback.on_epoch(session_of())
        callback.on_epoch(session_of((1, 0.1)))  # too early to tell
        # An epoch without a validation tells nothing new.
        late = session_of((1, 0.1), (2, 0.62), (3, None))
        if prune:
            with pytest.raises(optuna.TrialPruned, match="after epoch 3"):
                callback.on_epoch(late)
        else:
            callback.on_epoch(late)
    assert study.trials[-1].intermediate_values == {1: 0.1, 2: 0.62}


@pytest.mark.slow
def test_trials_are_trained_pruned_or_not_and_the_winner_is_confirmed_on_other_folds(tmp_path, monkeypatch, drawn):
    monkeypatch.chdir(tmp_path)
    common = {"competition.root": str(drawn), **{key: value for key, value in TINY.items() if key != "tune.tried"}}
    asked = plan(
        tmp_path, {"trials": 3}, options={**common, "optim.lr": 0.0001, "folds.kind": "kfold", "folds.group": None}
    )
    results = run_study(asked)
    names = [row.name for row in results.rows]
    assert names in (["default", "winner"], ["default"])
    trials = [Run.open(path) for path in (tmp_path / "runs/trials").iterdir()]
    assert len(trials) == 3
    assert all(run.begun_folds() == {"0"} for run in trials)
    if "winner" in names:
        winner = Run.open(tmp_path / "runs/winner_seed0")
        assert winner.begun_folds() == {"1"}
        assert winner.config.optim.lr == results.chosen["optim.lr"]
