"""What a config leaves open, batches that fit, fast ways and so many hours: measured on this device, once."""

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import product
from pathlib import Path

from maskfold.config import Config, override
from maskfold.config.undecided import open_keys, value_of
from maskfold.errors import ConfigError
from maskfold.runs import Run
from maskfold.steps.competition import open_competition, with_root
from maskfold.training.batches import prediction_batch, training_batch
from maskfold.training.fastest import fastest
from maskfold.training.forecast import duration
from maskfold.training.hours import LONGEST, length_within, of_length
from maskfold.training.trial import LONGEST as LONGEST_TIMED
from maskfold.training.trial import Trial

BATCHES = {"train.batch_size": training_batch, "inference.batch_size": prediction_batch}
TIMED = 0.02  # of the hours that each measurement takes at most
# What may be tried, the usual one first: it stays unless another is clearly faster.
WAYS = {"train.channels_last": (True, False), "train.compile": (False, True)}
FIRST = 4  # images of the batches of a training that is opened to find their size


def settle(config: Config, *, known: Config | None = None, folds: int = 1, alone: bool = True) -> Config:
    """``config`` with what was found in the place of ``auto``, and with the steps that ``train.hours`` has room for.

    Args:
        config: the experiment's.
        known: that of the run, where some of its folds stay: its numbers hold for the others too.
        folds: that are trained within the hours, one after the other.
        alone: whether one process trains on this machine: nothing is measured for others.

    Raises:
        ConfigError: something is to be measured, but not ``alone``.
        TrainingError: not all folds fit into the hours.
        MaskfoldError: what keeps a training from starting.
    """
    started = time.monotonic()
    config = config if known is None else _as_known(config, known)
    keys = open_keys(config)
    if known is not None and "train.hours" in keys:
        return config  # other hours than the run's, which it refuses
    if keys and not alone:
        raise ConfigError(
            f"{', '.join(keys)} would have to be measured, which one process does on the machine that it trains on: "
            "give values for them, and train.epochs instead of train.hours"
        )
    if sizes := [key for key in keys if key in BATCHES]:
        config = override(config, _sizes(config, sizes, [key for key in keys if key in WAYS]))
    if ways := [key for key in keys if key in WAYS]:
        config = override(config, _fastest(config, ways))
    if "train.hours" in keys:
        config = _with_length(config, folds, started)
    return config


@contextmanager
def trial_run(config: Config) -> Iterator[Run]:
    """A run of its own, to be measured and forgotten; nothing is left in ``runs/``.

    Weights are random: others are neither smaller nor faster, and need not be there yet; nor need teachers and the
    runs that weigh images, which are asked once and not measured.
    """
    changed = {
        "train": config.train.model_copy(update={"trackers": ()}),
        "model": config.model.model_copy(update={"encoder_weights": None, "init_from": None}),
        "targets": config.targets.model_copy(update={"teacher": None}),
        "data": config.data.model_copy(update={"weights": None}),
    }
    if config.train.hours is not None and config.train.iterations is None:
        changed["train"] = changed["train"].model_copy(update={"iterations": LONGEST})
    config = with_root(config, open_competition(config)).model_copy(update=changed)
    with tempfile.TemporaryDirectory() as folder:
        run = Run(Path(folder) / config.name)
        run.adopt(config)
        run.folds()  # so that no fold's opening is charged with it
        yield run


def _as_known(config: Config, known: Config) -> Config:
    """``config`` with what was found for the run before."""
    values = {key: value_of(known, key) for key in open_keys(config) if key != "train.hours"}
    if config.train.hours is not None and config.train.hours == known.train.hours:
        values["train.iterations"] = known.train.iterations
    return override(config, values) if values else config


def _sizes(config: Config, keys: list[str], ways: list[str]) -> dict[str, int]:
    usual = {way: WAYS[way][0] for way in ways}
    with trial_run(override(config, {**dict.fromkeys(keys, FIRST), **usual})) as run, Trial(run) as trial:
        found = {key: BATCHES[key](trial) for key in keys}
    for key, size in found.items():
        print(f"{key}: {size} images, found on this device", flush=True)
    return found


def _fastest(config: Config, keys: list[str]) -> dict[str, bool]:
    print(f"Timing a few steps for {' and '.join(keys)} …", flush=True)

    @contextmanager
    def opened(way: tuple[bool, ...]) -> Iterator[Trial]:
        with trial_run(override(config, dict(zip(keys, way, strict=True)))) as run, Trial(run) as trial:
            yield trial

    ways = list(product(*(WAYS[key] for key in keys)))
    found = dict(zip(keys, fastest(ways, opened, config.train.batch_size), strict=True))
    print(", ".join(f"{key}: {str(way).lower()}" for key, way in found.items()) + ", faster on this device", flush=True)
    return found


def _with_length(config: Config, folds: int, started: float) -> Config:
    assert config.train.hours is not None  # else there is nothing to find
    print("Timing a few batches …", flush=True)
    longest = min(LONGEST_TIMED, TIMED * config.train.hours * 3600)
    with trial_run(config) as run, Trial(run, longest=longest) as trial:
        work, pace = trial.timed()
    steps = length_within(config.train.hours, time.monotonic() - started, folds, work, pace)
    found = of_length(work, steps, pace)
    epochs = steps * config.train.accumulate / work.batches_per_epoch
    whose = "the fold" if folds == 1 else f"each of {folds} folds"
    print(
        f"train.hours {config.train.hours:g}: {steps} steps, {epochs:.1f} epochs, for {whose}; {pace.batch:.2g} s per "
        f"batch, a fold takes about {duration(found.fold)}",
        flush=True,
    )
    return override(config, {"train.iterations": steps})
