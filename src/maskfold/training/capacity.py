"""What fits the device and how long everything takes: measured, for one config."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch

from maskfold.device import device_name
from maskfold.errors import ModelError
from maskfold.runs import Run
from maskfold.training.forecast import Forecast, Pace, Work
from maskfold.training.memory import Stop, Watched, free_memory, reserve, run_watched
from maskfold.training.trial import Trial

PROBE = "maskfold.training.probe"


@dataclass(frozen=True)
class Load:
    """What training, or prediction, asks of the device.

    Attributes:
        batch: images of a batch, as the config has them.
        memory: bytes with such a batch; None: it does not fit, or this device is not asked.
        largest: images of the largest batch that fits, `most` if there is room for more; 0: not even the smallest;
            None: not known.
        most: images beyond which a batch cannot grow: all there are.
        pace: what was timed of it; None: nothing.
        stopped: what ran out before it was measured to the end.
    """

    batch: int
    most: int
    memory: int | None = None
    largest: int | None = None
    pace: Pace | None = None
    stopped: Stop | None = None


@dataclass(frozen=True)
class Capacity:
    """What was measured, and what follows from it.

    Attributes:
        device: in words.
        free: bytes of memory for a training.
        work: of the fold.
        train, predict: see `Load`.
    """

    device: str
    free: int | None
    work: Work
    train: Load
    predict: Load

    @property
    def forecast(self) -> Forecast | None:
        """Of an epoch, a fold, all folds, and the test images; None where the pace is not known."""
        train, predict = self.train.pace, self.predict.pace
        if train is None or predict is None:
            return None
        return self.work.forecast(train.with_prediction(predict))


def measure_capacity(run: Run) -> Capacity:
    """Train and predict a little of the run's first fold, and keep nothing of it.

    On a GPU batches are tried until one does not fit. On a CPU a process of its own, which is stopped before it takes
    the machine's last memory, tries two sizes or more, and larger ones follow from the straight line through them.

    Raises:
        MaskfoldError: see its message: what keeps a training from starting.
    """
    with Trial(run) as trial:
        device, work, free = trial.device, Work.of(trial.session), _free(trial.device)
        measure = {"cuda": _on_gpu, "cpu": _on_cpu}.get(device.type, _by_time)
        train, predict = measure(trial)
    return Capacity(
        device=device_name(device),
        free=free,
        work=work,
        train=train,
        predict=predict,
    )


def largest_batch(fits: Callable[[int], bool], first: int, most: int) -> int:
    """The largest batch up to ``most`` that fits, to within an eighth; 0 where not even one image does.

    Sizes are doubled from ``first`` on until one does not fit, or halved until one does; then the gap is halved.
    """
    good, bad, images = 0, None, max(1, min(first, most))
    while True:
        if fits(images):
            good = images
        else:
            bad = images
        if good == most or (bad is not None and bad - good <= max(1, good // 8)):
            return good
        images = min(2 * good, most) if bad is None else (good + bad) // 2


def along_the_line(said: list[tuple[int, int]], room: int, most: int) -> int:
    """The largest batch up to ``most`` whose memory is within ``room`` bytes, if memory grows as between the last two.

    Args:
        said: (images, bytes) of measured batches, two at least, the largest last.
        room: bytes.
        most: images.
    """
    (fewer, less), (images, memory) = said[-2:]
    slope = (memory - less) / (images - fewer)
    if memory + slope * (most - images) <= room:
        return max(most, images)
    return max(0, images + math.floor((room - memory) / slope))


def _free(device: torch.device) -> int | None:
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    return free_memory() - reserve() if device.type == "cpu" else None


def _on_cpu(trial: Trial) -> tuple[Load, Load]:
    return _probed(trial, "train", _untried_training(trial)), _probed(trial, "predict", _untried_prediction(trial))


def _probed(trial: Trial, kind: str, load: Load) -> Load:
    keep = reserve()
    room = free_memory() - keep
    arguments = [str(trial.session.run.path), kind, str(load.batch), str(load.most)]
    return learnt(load, run_watched(PROBE, arguments, keep=keep), room)


def learnt(load: Load, watched: Watched, room: int) -> Load:
    """``load`` with what a probe said, for which there were ``room`` bytes."""
    sizes = [(found["images"], found["memory"]) for found in watched.said if "images" in found]
    end = watched.said[-1] if watched.said and "pace" in watched.said[-1] else {"pace": None, "workers": 0}
    memory, largest = dict(sizes).get(load.batch), None
    if len(sizes) > 1:
        largest = max(along_the_line(sizes, room - end["workers"], load.most), sizes[-1][0])  # which went through
    elif watched.stopped == "memory":
        largest = sizes[0][0] if sizes else 0
    return replace(
        load,
        memory=None if memory is None else memory + end["workers"],
        largest=largest,
        pace=None if end["pace"] is None else Pace(**end["pace"]),
        stopped=watched.stopped,
    )


def _by_time(trial: Trial) -> tuple[Load, Load]:
    """On a device whose memory nobody can ask for."""
    return (
        replace(_untried_training(trial), pace=trial.training_pace()),
        replace(_untried_prediction(trial), pace=trial.prediction_pace()),
    )


def _on_gpu(trial: Trial) -> tuple[Load, Load]:
    return (
        tried(_untried_training(trial), trial, trial.train, trial.training_pace),
        tried(_untried_prediction(trial), trial, trial.predict, trial.prediction_pace),
    )


def tried(load: Load, trial: Trial, attempt: Callable[[int], None], pace: Callable[[], Pace]) -> Load:
    """``load`` with what batches took of a GPU."""
    fit = fits(trial, attempt, least=load.batch)
    torch.cuda.reset_peak_memory_stats(trial.device)
    if not fit(load.batch):
        return replace(load, largest=largest_batch(fit, load.batch // 2, load.most), stopped="memory")
    memory = torch.cuda.max_memory_reserved(trial.device)
    found, largest = pace(), largest_batch(fit, 2 * load.batch, load.most)
    return replace(load, memory=memory, pace=found, largest=max(largest, load.batch))


def fits(trial: Trial, attempt: Callable[[int], None], *, least: int) -> Callable[[int], bool]:
    """Whether a GPU has room for so many images; memory that is exhausted is given back.

    Args:
        trial: whose device it is.
        attempt: works on so many images.
        least: images with which every network must be able to work; with fewer some cannot be trained.
    """

    def fit(images: int) -> bool:
        try:
            attempt(images)
            trial.settle()
        except torch.OutOfMemoryError:
            room = False
        except ModelError:  # some networks cannot be trained on a single image
            if images >= least:
                raise
            room = False
        else:
            room = True
        trial.free()  # now that the error is gone, and with it the frames that hold tensors
        return room

    return fit


def _untried_training(trial: Trial) -> Load:
    return Load(trial.session.config.train.batch_size, trial.images)


def _untried_prediction(trial: Trial) -> Load:
    return Load(trial.session.config.inference.batch_size, len(trial.samples))
