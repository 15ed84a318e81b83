"""Trackers get what metrics.csv gets, offline: TensorBoard's own files, stand-ins of services on the web."""

import sys
from types import SimpleNamespace

import accelerate.tracking
import pytest
from accelerate.utils import LoggerType
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from maskfold.config import override
from maskfold.errors import TrainingError
from maskfold.runs import Run
from maskfold.runs.history import read_epochs
from maskfold.training import fit
from maskfold.training.processes import _warn_once, known_trackers

LOGGED = {"epoch", "step", "lr", "loss", "bce", "dice", "valid_dice", "best", "valid_loss", "train_dice"}


class Service:
    """A module like wandb or trackio, which keeps what it is told."""

    def __init__(self):
        self.started, self.facts, self.rows, self.ended = [], [], [], 0
        self.config = SimpleNamespace(update=lambda values, **_: self.facts.append(values))

    def init(self, **options):
        self.started.append(options)
        return self

    def log(self, values, step=None):
        self.rows.append((step, values))

    def finish(self):
        self.ended += 1


def test_all_columns_reach_the_trackers(tiny, tmp_path, monkeypatch):
    services = {name: Service() for name in ("wandb", "trackio")}
    for name, service in services.items():
        monkeypatch.setitem(sys.modules, name, service)
    available = [LoggerType.TENSORBOARD, LoggerType.WANDB, LoggerType.TRACKIO]
    monkeypatch.setattr(accelerate.tracking, "_available_trackers", available)
    run = Run.create(override(tiny, {"train.trackers": ["tensorboard", "wandb", "trackio"]}), tmp_path)
    fit(run, 0)
    table = read_epochs(run.fold(0))
    events = EventAccumulator(str(run.fold(0).path / "tracker"))
    events.Reload()
    assert set(events.Tags()["scalars"]) == LOGGED
    for name in LOGGED:
        found = [(event.step, event.value) for event in events.Scalars(name)]
        assert found == [(step, pytest.approx(value)) for step, value in zip(table["step"], table[name], strict=True)]
    for service in services.values():
        assert service.started == [{"project": "tracker", "name": "tiny fold 0"}]
        assert service.facts == [{"run": "tiny", "fold": "0"}]
        assert [step for step, _ in service.rows] == table["step"].to_list()
        assert [values for _, values in service.rows] == table.to_dict("records")
        assert service.ended == 1


def test_trackers_that_are_not_there(monkeypatch, caplog):
    monkeypatch.setattr(accelerate.tracking, "_available_trackers", [LoggerType.WANDB])
    _warn_once.cache_clear()
    assert known_trackers(["tensorboard", "wandb", "comet_ml"]) == ["wandb"]
    assert known_trackers(["comet_ml"]) == []
    (record,) = caplog.records
    assert record.getMessage() == (
        "train.trackers names comet_ml, which is not installed, so nothing is logged there: pip install comet-ml"
    )
    with pytest.raises(TrainingError, match=r"names wandbb: choose among .*tensorboard.*wandb"):
        known_trackers(["wandbb"])
