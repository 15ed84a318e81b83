"""A fold's training, opened to be measured: what a batch and an image take, in time and in memory."""

import time
from collections.abc import Sized
from typing import Any, cast

import torch

from maskfold.competitions import Samples
from maskfold.datasets import EvalDataset, collate_eval
from maskfold.device import give_back_memory, steady_shapes, wait_for
from maskfold.inference.predict import predict_batches
from maskfold.runs import Run
from maskfold.training.forecast import MEASURED, Pace, Stopwatch, Work, pixels
from maskfold.training.session import open_session
from maskfold.training.validation import score_batch, without_views

LONGEST = 20.0  # seconds of each measurement of time, after warming up


class Trial:
    """One fold of a run, of which nothing is kept: neither weights nor files, nor memory after ``with Trial(run) …``.

    It trains with batches that were copied together from the fold's own, and predicts copies of the largest image of
    the test split, or of the training split where there is no other.
    """

    def __init__(self, run: Run, fold: int = 0, *, longest: float = LONGEST) -> None:
        """See the class.

        Args:
            run: that it is of.
            fold: whose images it looks at.
            longest: seconds of each measurement of time, after warming up.

        Raises:
            MaskfoldError: as `maskfold.training.session.open_session`.
        """
        started = time.monotonic()
        self.session = open_session(run, fold)
        self.opening, self.longest = time.monotonic() - started, longest
        # The last epoch: nothing is frozen any more, and all terms of the loss have begun.
        self.session.train_step.begin_epoch(self.session.length.epochs)
        self.session.data.sampler.epoch = self.session.length.epochs
        test = run.competition().samples("test")
        whole = test and not any(map(run.competition().by_windows, test))
        self.samples = test if whole else run.competition().samples("train")
        self._batch: dict[str, Any] | None = None

    def __enter__(self) -> "Trial":
        return self

    def __exit__(self, *_: object) -> None:
        self.session.data.end_workers()
        del self.session
        self._batch = None
        give_back_memory()  # a session refers to itself

    @property
    def images(self) -> int:
        """How many the fold trains on."""
        return len(cast("Sized", self.session.data.train.dataset))

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return self.session.accelerator.device

    def batch(self, images: int) -> dict[str, Any]:
        """A batch of so many images, copied together from the fold's own."""
        first = self._batch = self._batch or next(iter(self.session.data.train))
        # How many images without labels there are beside them is an option of its own.
        labelled = {name: value for name, value in first.items() if name != "unlabelled"}
        return {**first, **repeated(labelled, images)}

    def train(self, images: int) -> None:
        """Learn from batches of so many images until the optimiser has all that it keeps, and once more."""
        batch = self.batch(images)
        for _ in range(self.session.config.train.accumulate + 1):
            self.session.train_step(batch)

    def step_seconds(self, batch: dict[str, Any]) -> float:
        """Seconds that the device takes to learn from a batch."""
        self.settle()
        started = time.monotonic()
        self.session.train_step(batch)
        self.settle()
        return time.monotonic() - started

    def predict(self, images: int) -> None:
        """Predict a batch of so many images with the config's views."""
        session = self.session
        largest = max(self.samples, key=lambda sample: pixels(session.competition, [sample]))
        item = EvalDataset(session.competition, Samples([largest]), scale=session.config.data.scale)[0]
        predictions = predict_batches(
            [session.network],
            [collate_eval([item] * images)],
            labels=session.competition.labels,
            tta=session.config.tta,
            window_batch=images,
            device=self.device,
            precision=session.precision,
        )
        for _ in predictions:
            pass

    @steady_shapes()
    def time_training(self) -> float:
        """Seconds per batch, as the data workers deliver them."""
        session = self.session
        stopwatch = self._stopwatch(session.length.batches_per_epoch)
        for batch in session.data.train:
            session.train_step(batch)
            if stopwatch.lap() is not None:
                break
        return _known(stopwatch)

    def time_prediction(self, *, views: bool = True) -> float:
        """Seconds per validation image, with the config's views or none, decoded and scored.

        Batches come as the data workers deliver them; images of other sizes count by their pixels.
        """
        session, competition = self.session, self.session.competition
        loader, samples = session.data.valid_whole, competition.samples("train").select(session.data.valid_ids)
        assert loader is not None  # a numbered fold validates
        stopwatch = self._stopwatch(len(loader))
        for batch in loader:
            score_batch(session, batch, views=views)
            if stopwatch.lap(pixels(competition, samples.select(batch["id"]))) is not None:
                break
        return _known(stopwatch) * pixels(competition, samples) / len(samples)

    def time_saving(self) -> float:
        """Seconds in which the complete state and the best weights are stored; they stay in the run's folder."""
        started = time.monotonic()
        self.session.save()
        self.session.save_weights("best")
        return time.monotonic() - started

    def timed(self) -> tuple[Work, Pace]:
        """How much there is to do, and how fast it goes."""
        train, predict = self.training_pace(), self.prediction_pace()
        self.session.data.end_workers()
        return Work.of(self.session), train.with_prediction(predict)

    def training_pace(self) -> Pace:
        """What has to do with training."""
        return Pace(batch=self.time_training(), saving=self.time_saving(), start=self.opening)

    def prediction_pace(self) -> Pace:
        """What has to do with validation and prediction."""
        image = self.time_prediction()
        return Pace(image=image, plain=image if self.plain else self.time_prediction(views=False))

    @property
    def plain(self) -> bool:
        """Whether the config has no views to speak of."""
        tta = self.session.config.tta
        return tta == without_views(tta)

    def free(self) -> None:
        """Give memory of a batch that did not fit back to the device."""
        for module in self.session.train_step.modules.values():
            module.zero_grad(set_to_none=True)
        give_back_memory()

    def settle(self) -> None:
        """Wait until the device has done what it was given."""
        wait_for(self.device)

    def _stopwatch(self, batches: int) -> Stopwatch:
        stopwatch = Stopwatch(min(MEASURED, batches), longest=self.longest, settle=self.settle)
        stopwatch.start()
        return stopwatch


def _known(stopwatch: Stopwatch) -> float:
    assert stopwatch.pace is not None  # with the last batch at the latest
    return stopwatch.pace


def repeated(batch: Any, images: int) -> Any:
    """A batch of ``images`` images made of one of any number, whose images are repeated."""
    if isinstance(batch, dict):
        return {name: repeated(value, images) for name, value in batch.items()}
    times = -(-images // len(batch))
    if isinstance(batch, torch.Tensor):
        return batch.repeat(times, *[1] * (batch.ndim - 1))[:images]
    return (batch * times)[:images]
