"""What fits the device and how long everything takes: measured, for one config."""

import math
from collections.abc import Callable, Sized
from dataclasses import dataclass, replace
from typing import cast

import torch

from maskfold.errors import ModelError
from maskfold.runs import Run
from maskfold.training.forecast import Forecast, Work
from maskfold.training.memory import Stop, Watched, free_memory, reserve, run_watched
from maskfold.training.trial import Trial, pixels

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
        pace: seconds per batch in training, per pixel in prediction; None: not measured.
        stopped: what ran out before it was measured to the end.
    """

    batch: int
    most: int
    memory: int | None = None
    largest: int | None = None
    pace: float | None = None
    stopped: Stop | None = None


@dataclass(frozen=True)
class Capacity:
    """What was measured, and what follows from it.

    Attributes:
        device: in words.
        free: bytes of memory for a training.
        work: of the fold.
        train, predict: see `Load`.
        valid_pixels: of the fold's validation images.
        test_pixels: of all test images.
        networks: that predict the test images together.
    """

    device: str
    free: int | None
    work: Work
    train: Load
    predict: Load
    valid_pixels: int
    test_pixels: int
    networks: int

    @property
    def forecast(self) -> Forecast | None:
        """Of an epoch, a fold, all folds; None where the pace is not known."""
        if self.train.pace is None or self.predict.pace is None:
            return None
        return self.work.forecast(self.train.pace, self._image(self.predict.pace))

    @property
    def out_of_fold(self) -> float | None:
        """Seconds of a fold's out-of-fold maps."""
        return None if self.predict.pace is None else self.work.out_of_fold(self._image(self.predict.pace))

    @property
    def test(self) -> float | None:
        """Seconds of the prediction of all test images by all networks."""
        return None if self.predict.pace is None else self.predict.pace * self.test_pixels * self.networks

    def _image(self, pixel: float) -> float:
        return pixel * self.valid_pixels / max(self.work.valid_images, 1)


def measure_capacity(run: Run) -> Capacity:
    """Train and predict a little of the run's first fold, and keep nothing of it.

    On a GPU batches are tried until one does not fit. On a CPU a process of its own, which is stopped before it takes
    the machine's last memory, tries two sizes or more, and larger ones follow from the straight line through them.

    Raises:
        MaskfoldError: see its message: what keeps a training from starting.
    """
    trial, competition = Trial(run), run.competition()
    device, work, free = trial.device, Work.of(trial.session), _free(trial.device)
    valid = competition.samples("train").select(trial.session.data.valid_ids)
    measure = {"cuda": _on_gpu, "cpu": _on_cpu}.get(device.type, _by_time)
    train, predict = measure(trial)
    snapshots = run.config.schedule.cycles if run.config.inference.checkpoint == "snapshots" else 1
    return Capacity(
        device=torch.cuda.get_device_name(device) if device.type == "cuda" else str(device),
        free=free,
        work=work,
        train=train,
        predict=predict,
        valid_pixels=pixels(competition, valid),
        test_pixels=pixels(competition, competition.samples("test")),
        networks=work.folds * snapshots,
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
        pace=end["pace"],
        stopped=watched.stopped,
    )


def _by_time(trial: Trial) -> tuple[Load, Load]:
    """On a device whose memory nobody can ask for."""
    return (
        replace(_untried_training(trial), pace=trial.time_training()),
        replace(_untried_prediction(trial), pace=trial.time_prediction()),
    )


def _on_gpu(trial: Trial) -> tuple[Load, Load]:
    return (
        tried(_untried_training(trial), trial, trial.train, trial.time_training),
        tried(_untried_prediction(trial), trial, trial.predict, trial.time_prediction),
    )


def tried(load: Load, trial: Trial, attempt: Callable[[int], None], pace: Callable[[], float]) -> Load:
    """``load`` with what batches took of a GPU, whose memory may be exhausted: that is noticed and given back."""

    def fits(images: int) -> bool:
        try:
            attempt(images)
            trial.settle()
        except torch.OutOfMemoryError:
            fit = False
        except ModelError:  # some networks cannot be trained on a single image
            if images >= load.batch:
                raise
            fit = False
        else:
            fit = True
        trial.free()  # now that the error is gone, and with it the frames that hold tensors
        return fit

    torch.cuda.reset_peak_memory_stats(trial.device)
    if not fits(load.batch):
        return replace(load, largest=largest_batch(fits, load.batch // 2, load.most), stopped="memory")
    memory = torch.cuda.max_memory_reserved(trial.device)
    seconds, largest = pace(), largest_batch(fits, 2 * load.batch, load.most)
    return replace(load, memory=memory, pace=seconds, largest=max(largest, load.batch))


def _untried_training(trial: Trial) -> Load:
    return Load(trial.session.config.train.batch_size, len(cast("Sized", trial.session.data.train.dataset)))


def _untried_prediction(trial: Trial) -> Load:
    return Load(trial.session.config.inference.batch_size, len(trial.samples))
