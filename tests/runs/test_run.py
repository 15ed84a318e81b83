"""Run folders: whose config they hold, what may change, what a fold's folder tells."""

import multiprocessing

import pytest
import torch

from maskfold.config import Config, override
from maskfold.errors import RunError
from maskfold.runs import Run, save_checkpoint


@pytest.fixture
def config():
    return Config(name="mine")


def test_a_run_is_made_once_and_found_again(config, tmp_path):
    run = Run.create(config, tmp_path)
    assert run.path == tmp_path / "mine"
    assert Run.open(tmp_path / "mine").config == config
    assert Run.create(config, tmp_path).config == config
    with pytest.raises(RunError, match="is not a run"):
        Run.open(tmp_path / "other")


def test_another_config_is_refused_once_a_fold_has_begun(config, tmp_path):
    changed = override(config, {"train.epochs": "9", "optim.lr": "0.5"})
    run = Run.create(config, tmp_path)
    run.folds_path.write_text("fold,id,split,times\n")
    run = Run.create(changed, tmp_path)
    assert run.config == changed
    assert not run.folds_path.exists(), "folds of the former config must not be kept"
    save_checkpoint({"a": torch.ones(1)}, run.fold(2).checkpoint_path("best"))
    with pytest.raises(RunError, match=r"optim\.lr: 0\.5 -> 0\.001; train\.epochs: 9 -> 30.*--name"):
        Run.create(config, tmp_path)


def test_overwriting_forgets_only_when_the_config_fits(config, tmp_path):
    changed = override(config, {"train.epochs": "9"})
    run = Run.create(config, tmp_path)
    for fold in (0, 1):
        save_checkpoint({"a": torch.ones(1)}, run.fold(fold).checkpoint_path("best"))
    with pytest.raises(RunError, match=r"train\.epochs: 30 -> 9"):
        Run.create(changed, tmp_path, overwrite=[0])
    assert run.begun_folds() == {"0", "1"}, "a refusal must not lose a fold"
    assert Run.create(config, tmp_path, overwrite=[0]).begun_folds() == {"1"}
    assert Run.create(changed, tmp_path, overwrite=[1]).begun_folds() == set()
    assert Run.open(tmp_path / "mine").config == changed


def test_what_changes_no_result_may_change(config, tmp_path):
    run = Run.create(config, tmp_path)
    save_checkpoint({"a": torch.ones(1)}, run.fold(0).checkpoint_path("best"))
    free = {"data.workers": "7", "train.max_hours": "2", "train.trackers": "[]", "inference.batch_size": "1"}
    faster = override(config, free)
    assert Run.create(faster, tmp_path).path == run.path


def test_fold_folder_names_its_checkpoints_in_order(config, tmp_path):
    fold = Run.create(config, tmp_path).fold(3)
    for checkpoint in ("snapshot_10", "best", "snapshot_9", "ema"):
        save_checkpoint({"a": torch.ones(1)}, fold.checkpoint_path(checkpoint))
    assert fold.checkpoints() == ["best", "ema", "snapshot_10", "snapshot_9"]
    assert fold.weights_of("snapshots") == ["snapshot_9", "snapshot_10"]
    assert fold.weights_of("ema") == ["ema"]
    with pytest.raises(RunError, match="no checkpoint 'swa': it has best, ema"):
        fold.weights_of("swa")


def test_a_fold_is_finished_by_its_summary(config, tmp_path):
    run = Run.create(config, tmp_path)
    for number in (0, 2, 11):
        save_checkpoint({"a": torch.full((1,), float(number))}, run.fold(number).checkpoint_path("best"))
    assert run.finished_folds() == []
    with pytest.raises(RunError, match="not trained to its end"):
        run.fold(2).summary()
    assert run.fold(2).digest("best") is None
    for number in (11, 2):
        run.fold(number).finish({"score": number / 100})
    run.fold("all").finish({})
    assert run.finished_folds() == [2, 11]
    assert run.fold(11).summary() == {"score": 0.11}
    assert len(run.fold(2).digest("best")) == 64
    assert run.fold(2).digest("best") != run.fold(11).digest("best")


def _hold(path, ready, done):
    with Run(path).fold(1).lock():
        ready.set()
        done.wait(30)


def test_two_processes_do_not_share_a_fold(config, tmp_path):
    run = Run.create(config, tmp_path)
    context = multiprocessing.get_context("spawn")
    ready, done = context.Event(), context.Event()
    other = context.Process(target=_hold, args=(run.path, ready, done))
    other.start()
    try:
        assert ready.wait(60)
        with pytest.raises(RunError, match="another process is working on"), run.fold(1).lock():
            pass
        with run.fold(0).lock():
            pass
    finally:
        done.set()
        other.join()
    with run.fold(1).lock():
        pass
