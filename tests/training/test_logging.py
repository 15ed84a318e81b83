"""What the bar says while an epoch runs."""

import io
from types import SimpleNamespace

import pytest
import torch

from maskfold.competitions import Samples
from maskfold.competitions.samples import Survey
from maskfold.config import Config
from maskfold.training import logging
from maskfold.training.forecast import Pace, Stopwatch
from maskfold.training.logging import EpochLog, RunLog


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
        step=0,
        length=SimpleNamespace(epochs=5, batches_per_epoch=20, steps=100, whole_epochs=5.0),
        run=SimpleNamespace(folds_to_train=lambda: [0, 1, 2]),
        accelerator=SimpleNamespace(num_processes=1, device=torch.device("cpu")),
        data=SimpleNamespace(valid_ids=["a", "b", "c", "d"], watched_ids=[]),
        competition=SimpleNamespace(samples=lambda split: Samples(), survey=lambda split: Survey(Samples())),
        pace=Pace(),
        midway=None,
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


@pytest.mark.parametrize(("steps", "left"), [(55, 12), (50, 7)])
def test_a_last_epoch_cut_short_is_no_whole_one(run_log, monkeypatch, steps, left):
    log, session = run_log
    session.length.epochs, session.length.steps, session.length.whole_epochs = 3, steps, steps / 20
    batches = play(log, monkeypatch)
    for _ in range(10):
        next(batches)
    # 2.5 epochs took 50 seconds, and there are 2.75 or no more; then a third of 20 batches of a second.
    assert log.bar.postfix.endswith(f"fold={left} s left")


def test_an_epoch_without_validation_keeps_the_last_score(run_log, monkeypatch):
    log, session = run_log
    session.history.append({"valid_dice": None})
    list(play(log, monkeypatch))
    assert "dice=0.7500" in log.bar.postfix
    session.history.clear()
    list(play(log, monkeypatch))
    assert "dice" not in log.bar.postfix


def test_the_first_batches_tell_once_what_all_of_it_takes(run_log, monkeypatch, capsys):
    log, session = run_log
    session.pace, now = Pace(image=16, plain=2, saving=1), iter(range(0, 1000, 3))
    monkeypatch.setattr(log, "_start_stopwatch", lambda first: started(Stopwatch(8, clock=lambda: float(next(now)))))
    list(play(log, monkeypatch))
    first = capsys.readouterr().out
    list(play(log, monkeypatch))
    # The clock is read at every batch and once more at the end of each pair of the six that count: 9 s a pair.
    # Epoch: 20 * 4.5 + 4 images * 2 s + 1 s. Fold: the images with views and without; 5 epochs; the average's
    # statistics; two candidates, scored without views and stored with them.
    fold = 4 * 18 + 5 * 99 + 90 / 3 + 2 * 8 + 2 * 64
    said = f"fold 2: 4.5 s per batch; an epoch takes about 2 min, this fold {fold / 60:.0f} min (2 min of it for "
    assert first == f"{said}out-of-fold maps), all 3 folds {3 * fold / 60:.0f} min\n"
    assert capsys.readouterr().out == ""


def started(stopwatch):
    stopwatch.start()
    return stopwatch
