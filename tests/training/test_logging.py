"""What the bar says while an epoch runs."""

import io
from types import SimpleNamespace

import pytest
import torch

from maskfold.config import Config
from maskfold.training import logging
from maskfold.training.logging import EpochLog, RunLog, duration, end_seconds


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def run_log():
    """The log of a session in the third of five epochs, twenty batches each, 50 seconds in."""
    session = SimpleNamespace(
        config=Config(train={"trackers": [], "epochs": 5}, averaging={"ema": 0.9}, tta={"views": "d4"}),
        fold=SimpleNamespace(name="2"),
        metric=SimpleNamespace(name="dice"),
        history=[{"valid_dice": 0.25}, {"valid_dice": 0.75}],
        epoch=0,
        length=SimpleNamespace(epochs=5, batches_per_epoch=20),
        data=SimpleNamespace(valid_ids=["a", "b", "c", "d"]),
        seconds_per_image=None,
        is_main=True,
        elapsed=lambda: 50.0,
    )
    log = RunLog(session)
    session.epoch = 3
    return log, session


def play(log, monkeypatch):
    """Train an epoch at a terminal, batch by batch."""
    monkeypatch.setattr(logging.sys, "stderr", Terminal())
    losses = EpochLog()
    for number, _ in enumerate(log.batches([{}] * 20), start=1):
        losses.add({"loss": torch.tensor(number / 10)})
        log.show(losses, number)
        yield number


def test_the_bar_tells_loss_score_and_time(run_log, monkeypatch):
    log, _ = run_log
    batches = play(log, monkeypatch)
    for _ in range(10):
        number = next(batches)
    # Ten of twenty batches of the third epoch: 2.5 of 5 epochs took 50 seconds, and the next 2.5 will.
    assert number == 10
    # And the average's statistics: forward passes of as many batches as an epoch has.
    assert log.bar.postfix == "loss=0.5500, dice=0.7500, fold=57 s left"
    assert log.bar.desc == "fold 2 epoch 3/5"
    list(batches)
    assert log.bar.postfix.startswith("loss=1.0500")
    assert "loss=0.5500" in logging.sys.stderr.getvalue()


def test_an_epoch_without_validation_keeps_the_last_score(run_log, monkeypatch):
    log, session = run_log
    session.history.append({"valid_dice": None})
    list(play(log, monkeypatch))
    assert "dice=0.7500" in log.bar.postfix
    session.history.clear()
    list(play(log, monkeypatch))
    assert "dice" not in log.bar.postfix


@pytest.mark.parametrize(("seconds", "text"), [(89, "89 s"), (90, "2 min"), (5399, "90 min"), (5400, "1.5 h")])
def test_durations(seconds, text):
    assert duration(seconds) == text


def test_the_forecast_covers_what_follows_the_last_epoch(run_log):
    _, session = run_log
    session.seconds_per_image = 3.0
    # A third of an epoch of 60 s for the average's statistics. Two candidates are scored without views, an eighth of
    # 3 s for each of 4 images, and both leave out-of-fold maps.
    assert end_seconds(session, 60.0) == pytest.approx(60 / 3 + 2 * 4 * 3 / 8 + 2 * 4 * 3)
    session.config = Config(train={"oof_checkpoints": 1}, tta={"views": "none"})
    assert end_seconds(session, 60.0) == pytest.approx(4 * 3 + 4 * 3)
