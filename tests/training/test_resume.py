"""What a training finds when it goes on: damage is told or repaired, never taken over."""

import json
import logging

import pytest
from tests.drill.ends import differences, end_of

from maskfold.config import override
from maskfold.errors import BusyError, FoldsError, RunError
from maskfold.runs import Run
from maskfold.training import fit
from maskfold.training.callbacks import Callback

NETWORK = {"model.architecture": "tests.drill.network:Tiny", "model.options": "{}", "name": "r", "train.epochs": "4"}
SNAPSHOTS = {"schedule.name": "snapshot", "schedule.cycles": "2"}


class Stop(Exception):
    pass


class StopBefore(Callback):
    def __init__(self, epoch):
        self.epoch = epoch

    def on_epoch(self, session):
        if session.epoch == self.epoch - 1:
            raise Stop


@pytest.fixture
def config(tiny):
    return override(tiny, NETWORK | SNAPSHOTS)


@pytest.fixture
def begun(config, tmp_path):
    """Fold 1 trained for three of its four epochs."""
    run = Run(tmp_path / "broken" / "runs" / "r")
    run.adopt(config)
    with pytest.raises(Stop):
        fit(run, 1, [StopBefore(4)])
    return Run(run.path)


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 16
    path.write_bytes(content)


@pytest.mark.slow
def test_a_damaged_state_gives_way_to_the_one_before_and_says_what_is_lost(begun, config, tmp_path, caplog):
    flip(begun.fold(1).path / "last.pt")
    with caplog.at_level(logging.WARNING):
        fit(begun, 1)
    assert "last.pt is damaged" in caplog.text
    assert "previous.pt; what was trained since is repeated" in caplog.text
    whole = Run(tmp_path / "whole" / "runs" / "r")
    whole.adopt(config)
    fit(whole, 1)
    assert differences(end_of(tmp_path / "whole"), end_of(tmp_path / "broken")) == []


@pytest.mark.parametrize("checkpoint", ["best", "snapshot_1"])
def test_a_checkpoint_that_is_damaged_or_gone_is_not_taken_over(begun, checkpoint):
    path = begun.fold(1).checkpoint_path(checkpoint)
    content = path.read_bytes()
    flip(path)
    with pytest.raises(RunError, match=rf"{checkpoint}\.safetensors is damaged .*--overwrite, or restore the file"):
        fit(begun, 1)
    path.unlink()
    with pytest.raises(RunError, match=rf"{checkpoint}\.safetensors, .* is gone: restore it, or train the fold again"):
        fit(begun, 1)
    path.write_bytes(content)
    fit(begun, 1)
    path.unlink()
    assert checkpoint in begun.fold(1).checkpoints(), "of a finished fold none is left out in silence"
    with pytest.raises(RunError, match=rf"there is no .*{checkpoint}\.safetensors: restore it"):
        begun.fold(1).load_checkpoint(checkpoint)


def test_folds_and_config_that_were_edited_by_hand_are_refused(begun):
    text = begun.folds_path.read_text()
    lines = text.splitlines()
    train = next(n for n, line in enumerate(lines) if line.startswith("1,") and ",train," in line)
    valid = next(n for n, line in enumerate(lines) if line.startswith("1,") and ",valid," in line)
    lines[train], lines[valid] = lines[train].replace("train,", "valid,"), lines[valid].replace("valid,", "train,")
    begun.folds_path.write_text("\n".join(lines) + "\n")
    with pytest.raises(FoldsError, match=r"folds\.csv is not the one that fold 1 was trained with: restore it"):
        Run(begun.path).folds()
    begun.folds_path.write_text(text)
    config = begun.config_path.read_text()
    begun.config_path.write_text(config.replace("lr: 0.01", "lr: 0.02"))
    with pytest.raises(RunError, match=r"optim\.lr was 0\.01 and is 0\.02"):
        fit(Run(begun.path), 1)
    begun.config_path.write_text(config.replace("workers: 0", "workers: 1"))  # changes no result
    Run(begun.path).folds()


def test_starting_from_weights_checks_them_though_their_training_goes_on(begun, config, tmp_path):
    flip(begun.fold(1).checkpoint_path("best"))
    other = Run(tmp_path / "other")
    other.adopt(override(config, {"model.init_from": str(begun.path), "name": "other"}))
    with pytest.raises(RunError, match=r"best\.safetensors is damaged"):
        fit(other, 1)


@pytest.mark.slow
def test_what_kills_left_is_cleared_by_the_next_start_and_keeps_no_config_away(config, tmp_path):
    run = Run(tmp_path / "r")
    run.adopt(config)
    left = run.fold(1).path / ".last.tmp-a1b2c3d4.pt"
    left.parent.mkdir()
    left.write_bytes(b"as large as a state")
    (left.parent / ".mine").write_text("not ours")
    run.adopt(override(config, {"optim.lr": "0.5"}))
    fit(run, 1)
    assert [path.name for path in left.parent.glob(".*")] == [".mine"]


def test_a_config_that_another_process_wrote_down_meanwhile_is_found_before_the_night(config, tmp_path):
    """Two terminals that begin a new run at once, each with the batch that its own GPU has room for."""
    first, second = Run(tmp_path / "r"), Run(tmp_path / "r")
    first.adopt(config)
    first.folds()
    second.adopt(override(config, {"data.workers": "0", "train.max_hours": "7"}))  # they change no result
    with pytest.raises(Stop):
        fit(first, 0, [StopBefore(1)])
    assert first.begun_folds() == {"0"}
    first.fold(0).clear()
    second.adopt(override(config, {"train.batch_size": "3"}))
    with pytest.raises(RunError, match=r"another config \(train.batch_size: 3 -> 4\)"):
        fit(first, 0)
    assert second.begun_folds() == set()
    with pytest.raises(Stop):
        fit(second, 0, [StopBefore(1)])
    assert second.fold(0).manifest.bound()["config"]["train.batch_size"] == 3


def test_overwriting_waits_for_nobody_and_takes_nothing_from_anyone(begun, config):
    fold = json.loads((begun.fold(1).path / "manifest.json").read_bytes())
    other = begun.fold(0)
    other.save_state({"epoch": 1})
    with begun.fold(1).lock(), pytest.raises(BusyError):
        Run(begun.path).restart([0, 1], config)
    assert other.has_state(), "all locks are taken before anything is removed"
    assert json.loads((begun.fold(1).path / "manifest.json").read_bytes()) == fold
