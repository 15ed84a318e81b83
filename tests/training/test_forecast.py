"""What a training will take: arithmetic by hand, a clock by hand, and a real training against its forecast."""

import math
import re
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch.nn.modules.module import register_module_forward_pre_hook

from maskfold.competitions import Samples, open_competition
from maskfold.config import Config, TTAConfig, load_config, override
from maskfold.demo import make_demo
from maskfold.models.wrapper import SegmentationModel
from maskfold.runs import Run
from maskfold.steps.settle import trial_run
from maskfold.training import fit
from maskfold.training import forecast as forecast_module
from maskfold.training import trial as trial_module
from maskfold.training.forecast import Forecast, Pace, Stopwatch, Work, duration, relative_pixels
from maskfold.training.session import open_session

ROOT = Path(__file__).parents[2]


class Clock:
    """A clock that moves as it is told."""

    def __init__(self):
        self.now, self.waits = 100.0, []

    def __call__(self):
        return self.now

    def settle(self):
        """The device catches up, which takes half a second."""
        self.now += 0.5
        self.waits.append(self.now)


def run(stopwatch, clock, seconds, amounts=None):
    """The pace, and with which batch (from 1) it was known."""
    stopwatch.start()
    for number, taken in enumerate(seconds, start=1):
        clock.now += taken
        pace = stopwatch.lap() if amounts is None else stopwatch.lap(amounts[number - 1])
        if pace is not None:
            return pace, number
    return None


def test_the_first_quarter_is_not_counted():
    clock = Clock()
    stopwatch = Stopwatch(8, clock=clock, settle=clock.settle)
    # Two batches warm up; then the device settles, outside of what is counted; six are counted two by two, and what is
    # left of them in the device's queue. The pair in which the machine did something else does not count.
    assert run(stopwatch, clock, [50, 40, 2, 3, 90, 3, 2, 4, 70]) == (pytest.approx((6 + 0.5) / 2), 8)
    assert len(clock.waits) == 4
    assert stopwatch.lap() is None, "it is told once"


def test_few_batches_are_all_counted():
    clock = Clock()
    assert run(Stopwatch(3, clock=clock), clock, [4, 1, 2]) == (2.0, 3)
    assert run(Stopwatch(1, clock=clock), clock, [4]) == (4.0, 1)


def test_the_pace_is_per_unit_of_work():
    clock = Clock()
    assert run(Stopwatch(4, clock=clock), clock, [9, 2, 4, 6], amounts=[7, 10, 10, 30]) == (pytest.approx(0.2), 4)


def test_slow_batches_are_not_waited_for():
    clock = Clock()
    # The first batch took all the time there was to warm up; the next one is counted alone.
    assert run(Stopwatch(20, longest=30, clock=clock), clock, [31, 40, 1]) == (40.0, 2)
    assert run(Stopwatch(20, longest=30, clock=clock), clock, [1] * 5 + [11, 9, 12]) == (pytest.approx(32 / 3), 8)


def config(**sections):
    return Config(**{"tta": {"views": "d4"}, **sections})


def work(config, **changes):
    numbers = {"epochs": 5, "batches_per_epoch": 20, "batches": 100, "valid_images": 4} | changes
    return Work(config, **numbers)


@pytest.mark.parametrize(("seconds", "text"), [(89, "89 s"), (90, "2 min"), (5399, "90 min"), (5400, "1.5 h")])
def test_durations(seconds, text):
    assert duration(seconds) == text


def test_what_follows_the_last_epoch():
    # A third of an epoch of 20 times 3 s for the average's statistics. Two candidates are scored without views, half a
    # second for each of 4 images, and both leave out-of-fold maps.
    pace = Pace(batch=3, image=7, plain=0.5)
    found = work(config(averaging={"ema": 0.9}))
    assert found.end(pace) == pytest.approx(20 * 3 / 3 + 2 * 4 * 0.5 + 2 * 4 * 7)
    found = work(config(averaging={"ema": 0.9, "bn_batches": 5}))
    assert found.end(pace) == pytest.approx(5 * 3 / 3 + 2 * 4 * 0.5 + 2 * 4 * 7)
    found = work(Config(train={"oof_checkpoints": 1}))
    assert found.end(pace) == pytest.approx(4 * 0.5 + 4 * 7)


def test_snapshots_are_scored_one_by_one_and_together():
    found = work(config(schedule={"name": "snapshot", "cycles": 3}))
    # The best, three snapshots, and three networks together; two leave maps.
    assert found.end(Pace(batch=3, image=8, plain=1)) == pytest.approx((1 + 3 + 3) * 4 * 1 + 2 * 4 * 8)


def test_training_images_that_are_watched_are_scored_too():
    assert work(config(), watched_images=6, processes=2).validation(Pace(plain=0.5)) == pytest.approx((4 + 6) * 0.5 / 2)


def test_adapted_batch_norms_need_a_look_before_each_prediction():
    found = work(config(tta={"views": "d4", "batch_norm_prior": 9}), networks=2, test_images=3.5)
    pace = Pace(image=8, plain=1)
    assert found.out_of_fold(pace) == pytest.approx(4 * (8 + 1))
    assert found.prediction(pace) == pytest.approx(2 * 3.5 * (8 + 1))


def test_each_pass_with_dropout_is_a_look_of_its_own():
    assert work(config(tta={"views": "flips", "dropout_passes": 3})).views == 4 * 3


def test_an_epoch_a_fold_and_all_folds():
    found = work(config(train={"validate_every": 2}), batches=93, folds=3, processes=2, networks=6, test_images=2.5)
    forecast = found.forecast(Pace(batch=2, image=8, plain=1, saving=0.25, start=11))
    validation = 4 * 1 / 2
    assert forecast.epoch == pytest.approx(20 * 2 + validation + 0.25)
    # Before all of it four images, in less than two batches, are predicted with views and without. Epochs 2, 4 and,
    # being the last, 5 are validated, all are saved; the end is one process's.
    assert forecast.fold == pytest.approx(11 + 4 * (8 + 1) + 93 * 2 + 3 * validation + 5 * 0.25 + (4 * 1 + 4 * 8))
    assert (forecast.maps, forecast.test) == (4 * 8, 6 * 2.5 * 8)
    assert str(forecast) == (
        "an epoch takes about 42 s, this fold 5 min (32 s of it for out-of-fold maps), all 3 folds 14 min, the test "
        "images 2 min"
    )
    assert str(Forecast(10, 80, 1)) == "an epoch takes about 10 s, this fold 80 s"


def test_a_time_limit_limits_the_training_but_not_its_end():
    found = work(config(train={"max_hours": 0.01}))
    assert found.forecast(Pace(batch=2, image=8, plain=1)).fold == pytest.approx(4 * (8 + 1) + 36 + (4 * 1 + 4 * 8))


def test_of_many_validation_images_two_batches_are_predicted_beforehand():
    found = work(config(inference={"batch_size": 3}), valid_images=50)
    assert found.check(Pace(image=8, plain=1)) == 2 * 3 * (8 + 1)


def test_the_work_is_read_from_a_session(tiny, tmp_path):
    asked = override(tiny, {"train.iterations": 7, "train.epochs": None, "train.accumulate": 2, "train.batch_size": 2})
    session = open_session(Run.create(asked, tmp_path), 0)
    found = Work.of(session)
    # Twelve of eighteen images train, two by two: six batches, three steps. Seven steps are three epochs.
    assert (found.epochs, found.batches_per_epoch, found.batches) == (3, 6, 14)
    assert (found.valid_images, found.folds, found.processes, found.networks) == (6, 3, 1, 3)
    # Five test images, of 48 x 40 and 40 x 56 in turn; how many of each the fold's six images are is a matter of folds.
    mean = sum(math.prod(session.competition.size(sample.image)) for sample in valid_samples(session)) / 6
    assert found.test_images == pytest.approx((3 * 48 * 40 + 2 * 40 * 56) / mean)
    everything = Work.of(open_session(Run.create(tiny, tmp_path / "all"), "all"))
    assert (everything.valid_images, everything.folds) == (0, 1)


def test_windows_count_with_what_they_share(tiny):
    competition = open_competition(tiny.competition)
    test, train = competition.samples("test"), competition.samples("train")
    mean = sum(math.prod(competition.size(sample.image)) for sample in train) / 18
    assert relative_pixels(competition, test, train, TTAConfig(), 0.5) == pytest.approx(
        (3 * 48 * 40 + 2 * 40 * 56) / 5 / mean
    )
    tall, wide = Samples(test[:1]), Samples(test[1:2])
    # Windows of 32 pixels begin every 16: of 48 x 40 pixels there are 2 x 2, of 40 x 56 there are 2 x 3.
    assert relative_pixels(competition, tall, wide, TTAConfig(window=32, overlap=0.5), 1.0) == pytest.approx(4 / 6)
    assert relative_pixels(competition, tall, wide, TTAConfig(window=40, overlap=0.5), 0.5) == pytest.approx(480 / 560)


def test_snapshots_predict_together_in_every_fold(tiny, tmp_path):
    changes = {"schedule.name": "snapshot", "schedule.cycles": 2, "inference.checkpoint": "snapshots"}
    assert Work.of(open_session(Run.create(override(tiny, changes), tmp_path), 0)).networks == 3 * 2


def valid_samples(session):
    return session.competition.samples("train").select(session.data.valid_ids)


@pytest.mark.slow
def test_a_training_takes_what_its_first_batches_say(tiny, tmp_path, monkeypatch, capsys):
    asked = override(tiny, {"train.epochs": 4, "train.epoch_images": 64, "averaging.ema": 0.9, "folds.count": 2})
    said = []
    monkeypatch.setattr(Forecast, "__str__", lambda self: said.append(self) or "forecast")
    started = time.monotonic()
    fit(Run.create(asked, tmp_path), 1)
    actual = time.monotonic() - started
    assert len(re.findall(r"^fold 1: [\d.e-]+ s per batch; forecast$", capsys.readouterr().out, re.MULTILINE)) == 1
    (forecast,) = said
    assert forecast.folds == 2
    assert 4 * forecast.epoch < forecast.fold
    assert actual / 4 < forecast.fold < 4 * actual


@pytest.fixture
def counted(monkeypatch):
    """A clock that only networks move: a pixel takes a microsecond, three where they learn from it."""
    clock = Clock()
    for module in (forecast_module, trial_module):
        monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=clock))

    def forward(module, inputs):
        if isinstance(module, SegmentationModel):
            learning = module.training and torch.is_grad_enabled()
            clock.now += inputs[0][:, 0].numel() * 1e-6 * (3 if learning else 1)

    hook = register_module_forward_pre_hook(forward)
    yield clock
    hook.remove()


@pytest.mark.parametrize(
    "changes",
    [
        {"tta.views": "none"},
        {"tta.views": "d4", "train.validate_every": 2, "train.oof_checkpoints": 1},
        {"tta.views": "flips", "averaging.ema": 0.9},
        {"schedule.name": "snapshot", "schedule.cycles": 2, "averaging.swa_start": 0.5, "train.epoch_images": 8},
    ],
    ids=lambda changes: next(iter(changes.values())),
)
def test_a_fold_takes_what_is_forecast(changes, tiny, tmp_path, counted):
    """All that a fold does is in its forecast."""
    config = override(tiny, {"train.epochs": 4, "train.oof_checkpoints": 2, "folds.count": 2, **changes})
    forecast = forecast_of(config)
    started = counted.now
    fit(Run.create(config, tmp_path), 0)
    assert forecast.fold == pytest.approx(counted.now - started, rel=0.1)


ATTEMPTS = 3  # of which one has to be right: other work slows one part down more than another


@pytest.mark.slow
def test_a_forecast_of_the_demo_is_off_by_a_fifth_at_most(tmp_path, monkeypatch):
    """In seconds of the processor, which other work changes least; a wrong forecast is wrong in every attempt."""
    for module in (forecast_module, trial_module):
        monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=time.process_time))
    make_demo(tmp_path / "demo", train_tiles=80, test_tiles=8)
    keys = {
        "competition.root": tmp_path / "demo",
        "folds.count": 4,
        "data.workers": 0,
        "train.epochs": 5,
        "train.batch_size": 4,
        "train.trackers": [],
    }
    config = load_config(ROOT / "configs/demo.yaml", keys)
    forecast_of(config)  # imports, compiled kernels
    errors = []
    for attempt in range(ATTEMPTS):
        forecast = forecast_of(config)
        started = time.process_time()
        fit(Run.create(config, tmp_path / str(attempt)), 0)
        errors.append(forecast.fold / (time.process_time() - started) - 1)
        if abs(errors[-1]) <= 0.2:
            return
    pytest.fail(f"forecasts were off by {', '.join(f'{error:+.0%}' for error in errors)}")


def forecast_of(config):
    with trial_run(config) as run, trial_module.Trial(run) as trial:
        work, pace = trial.timed()
    return work.forecast(pace)


def test_the_forecast_of_limited_trainings_is_the_most(tiny, tmp_path, capsys):
    fit(Run.create(override(tiny, {"train.early_stop": 3}), tmp_path), "all")
    assert re.search(
        r"^fold all: \S+ s per batch; an epoch takes about \d+ s, this fold \d+ s at most$",
        capsys.readouterr().out,
        re.MULTILINE,
    )


def test_a_gpu_is_waited_for(monkeypatch):
    from maskfold.training import logging

    waited = []
    monkeypatch.setattr(torch.accelerator, "synchronize", waited.append)
    session = SimpleNamespace(
        accelerator=SimpleNamespace(device=SimpleNamespace(type="cuda")),
        length=SimpleNamespace(steps=50, batches_per_epoch=4),
        step=0,
        config=Config(),
    )
    log = logging.RunLog.__new__(logging.RunLog)
    log.session = session
    stopwatch = log._start_stopwatch(0)
    assert [stopwatch.lap() is not None for _ in range(4)] == [False, False, False, True]
    assert waited == [session.accelerator.device] * 4
