"""States inside an epoch: killed and resumed there, the end is the same bit for bit."""

from types import SimpleNamespace

import pytest
import torch
from tests.drill.ends import differences, end_of

from maskfold.config import Config, override
from maskfold.errors import TrainingError
from maskfold.runs import Run
from maskfold.training import fit, midway
from maskfold.training.step import Supervised

NETWORK = {"model.architecture": "tests.drill.network:Tiny", "model.options": "{}", "train.epochs": "3"}
SEMI = {"averaging.ema": "0.9", "semi.unlabelled_per_batch": "2", "semi.ramp_epochs": "0", "semi.threshold": "0.5"}
WAYS = {
    "accumulated": {"train.batch_size": "2", "train.accumulate": "2", "optim.name": "lookahead_adamw"},
    "semi": {**SEMI, "train.batch_size": "2"},
}


class Dies(Exception):
    pass


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
def test_killed_inside_an_epoch_it_goes_on_there_and_ends_the_same(tiny, tmp_path, monkeypatch, way, capsys):
    config = override(tiny, {**NETWORK, **WAYS[way], "name": "r"})
    whole, broken = (Run(tmp_path / name / "runs" / "r") for name in ("whole", "broken"))
    whole.adopt(config)
    fit(whole, 1)
    broken.adopt(override(config, {"train.save_minutes": "0.0000001"}))
    saved, original = [], midway.save_if_due

    def save(session, log, seen, batch):
        original(session, log, seen, batch)
        if batch == 4 and session.epoch == 2 and not saved:
            saved.append(session.step)
            raise Dies

    monkeypatch.setattr("maskfold.training.loop.save_if_due", save)
    with pytest.raises(Dies):
        fit(broken, 1)
    state = broken.fold(1).load_state()
    assert (state["epoch"], state["midway"]["batch"]) == (1, 4)
    assert state["midway"]["seen"] == (True, True)
    seen, learned = [], Supervised.__call__
    monkeypatch.setattr(Supervised, "__call__", lambda self, batch: seen.append(1) or learned(self, batch))
    fit(broken, 1)
    assert "going on after epoch 1 of 3 and 4 batches of the next one" in capsys.readouterr().out
    batches = 12 // config.train.batch_size
    assert len(seen) == batches - 4 + batches, "what was stored is not trained again"
    assert differences(end_of(tmp_path / "whole"), end_of(tmp_path / "broken")) == []


def test_a_time_limit_that_has_passed_ends_a_training_inside_an_epoch(tiny, tmp_path, monkeypatch):
    """What a late training is asked for are the scores of the epochs that it has, not the rest of a long one."""
    config = override(tiny, {**NETWORK, "train.batch_size": "2", "name": "r"})
    whole, broken = (Run(tmp_path / name / "runs" / "r") for name in ("whole", "broken"))
    whole.adopt(config)
    fit(whole, 1)
    broken.adopt(override(config, {"train.save_minutes": "0.0000001"}))
    original = midway.save_if_due

    def save(session, log, seen, batch):
        original(session, log, seen, batch)
        if batch == 4 and session.epoch == 2:
            raise Dies

    with monkeypatch.context() as patched, pytest.raises(Dies):
        patched.setattr("maskfold.training.loop.save_if_due", save)
        fit(broken, 1)
    broken.adopt(override(broken.config, {"train.max_hours": "0.0000001"}))
    with monkeypatch.context() as patched:
        patched.setattr(Supervised, "__call__", lambda *_: pytest.fail("a batch is trained"))
        summary = fit(broken, 1)
    assert (summary["epochs"], summary["stopped"][:13]) == (1, "another epoch")
    assert broken.fold(1).finished()
    broken.adopt(override(broken.config, {"train.max_hours": None}))
    fit(broken, 1)
    assert differences(end_of(tmp_path / "whole"), end_of(tmp_path / "broken")) == [], "what was begun was kept"


def test_weights_that_the_last_step_of_an_epoch_broke_are_not_stored(tiny, tmp_path, monkeypatch):
    """No loss shows it: the next epoch would begin with them, and so would every try after it."""
    run = Run(tmp_path / "runs" / "r")
    run.adopt(override(tiny, {**NETWORK, "train.batch_size": "4", "name": "r"}))
    learned, batches = Supervised.__call__, []

    def breaks(self, batch):
        terms = learned(self, batch)
        batches.append(batch)
        if len(batches) == 6:
            torch.nn.init.constant_(next(self.network.parameters()), float("nan"))
        return terms

    monkeypatch.setattr(Supervised, "__call__", breaks)
    with pytest.raises(TrainingError, match="the weights became nan in epoch 2: nothing of this epoch was kept"):
        fit(run, 1)
    monkeypatch.undo()
    assert run.fold(1).load_state()["epoch"] == 1
    fit(run, 1)
    assert run.fold(1).summary()["epochs"] == 3


@pytest.mark.parametrize("broken", ["loss", "weights"])
def test_nothing_is_stored_of_an_epoch_that_broke(tiny, tmp_path, monkeypatch, broken):
    """Batches are many between two of them: both states that are kept would be of the broken epoch."""
    config = override(tiny, {**NETWORK, "train.batch_size": "2", "train.save_minutes": "0.0000001", "name": "r"})
    run = Run(tmp_path / "runs" / "r")
    run.adopt(config)
    learned, batches = Supervised.__call__, []

    def breaks(self, batch):
        terms = learned(self, batch)
        batches.append(batch)
        if len(batches) == 3 and broken == "weights":  # of a finite loss whose gradient is not
            torch.nn.init.constant_(next(self.network.parameters()), float("nan"))
        if len(batches) == 3 and broken == "loss":
            terms["loss"] = terms["loss"] * float("nan")
        return terms

    monkeypatch.setattr(Supervised, "__call__", breaks)
    with pytest.raises(TrainingError, match="nothing of this epoch was kept"):
        fit(run, 1)
    assert len(batches) == 6
    monkeypatch.undo()
    assert run.fold(1).load_state()["midway"]["batch"] == 2
    fit(run, 1)
    assert run.fold(1).summary()["epochs"] == 3


def test_other_processes_go_on_with_a_whole_optimiser_step():
    """Twelve of 28 batches of one process are six of 14 of each of two: one step of four, and two that are repeated."""
    half = SimpleNamespace(length=SimpleNamespace(batches_per_epoch=14), config=Config(train={"accumulate": 4}))
    assert midway.batches_done(half, {"batch": 12, "batches": 28}) == 4
