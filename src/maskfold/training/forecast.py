"""What a training will take, from the pace of a few batches and images. All times are seconds."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from maskfold.config import Config
from maskfold.inference.views import build_views
from maskfold.runs.fold import ALL

if TYPE_CHECKING:
    from maskfold.training.session import Session

MEASURED = 20  # batches; the first quarter of them, in which a device and its caches warm up, is left out


class Stopwatch:
    """The pace of work that comes in batches: seconds per unit, the first batches left out.

    Attributes:
        pace: seconds per unit; None until enough batches were seen.
    """

    def __init__(
        self,
        batches: int = MEASURED,
        *,
        longest: float = float("inf"),
        clock: Callable[[], float] = time.monotonic,
        settle: Callable[[], None] = lambda: None,
    ) -> None:
        """See the class.

        Args:
            batches: to look at, at least 1; the first quarter of them is not counted.
            longest: seconds after which fewer batches will do, at least one.
            clock: the time.
            settle: waits until the device has done what it was given.
        """
        self.batches, self._warm_up = batches, batches // 4
        self.longest, self.clock, self.settle = longest, clock, settle
        self.pace: float | None = None
        self._seen, self._amount, self._since = 0, 0.0, 0.0

    def start(self) -> None:
        """To be called before the first batch."""
        self._since = self.clock()

    def lap(self, amount: float = 1) -> float | None:
        """To be called after each batch, with its units of work; the pace, once: with the batch that completes it."""
        if self.pace is not None:
            return None
        self._seen += 1
        late = self.clock() - self._since > self.longest
        if self._seen > self._warm_up:
            self._amount += amount
            if self._seen == self.batches or late:
                self.settle()
                self.pace = (self.clock() - self._since) / self._amount
        elif self._seen == self._warm_up or late:
            self._warm_up = self._seen
            self.settle()
            self.start()
        return self.pace


@dataclass(frozen=True)
class Work:
    """How much there is to do for one fold.

    Attributes:
        config: the experiment's.
        epochs: of the training.
        batches_per_epoch: of one process.
        batches: of all epochs, of one process; the last epoch may be shorter than the others.
        valid_images: of the fold.
        folds: of the run; 1 where all images are trained on.
        processes: that train together.
    """

    config: Config
    epochs: int
    batches_per_epoch: int
    batches: int
    valid_images: int
    folds: int = 1
    processes: int = 1

    @classmethod
    def of(cls, session: "Session") -> "Work":
        """That of a fold whose training was opened."""
        length, config = session.length, session.config
        return cls(
            config=config,
            epochs=length.epochs,
            batches_per_epoch=length.batches_per_epoch,
            batches=length.steps * config.train.accumulate,
            valid_images=len(session.data.valid_ids),
            folds=1 if session.fold.name == ALL else session.run.folds()["fold"].nunique(),
            processes=session.accelerator.num_processes,
        )

    @property
    def views(self) -> int:
        """How often prediction looks at an image."""
        return len(build_views(self.config.tta.views, self.config.tta.scales)) * max(1, self.config.tta.dropout_passes)

    def validation(self, image: float) -> float:
        """One validation while training goes on: without views, the images shared among the processes.

        Args:
            image: seconds that an image takes with the config's views.
        """
        return self.valid_images * image / self.views / self.processes

    def out_of_fold(self, image: float) -> float:
        """The out-of-fold maps that are stored in the end, with the config's views."""
        return min(self.config.train.oof_checkpoints, self._candidates) * self.valid_images * image

    def end(self, epoch: float, image: float) -> float:
        """What follows the last epoch: statistics of averages, scores of all candidates, out-of-fold maps.

        Args:
            epoch: seconds that an epoch takes.
            image: as in `validation`.
        """
        share = min(self.config.averaging.bn_batches / self.batches_per_epoch, 1)
        statistics = self._averages * share * epoch / 3  # forward only
        scores = self._candidates * self.valid_images * image / self.views
        return statistics + scores + self.out_of_fold(image)

    def forecast(self, batch: float, image: float) -> "Forecast":
        """What all of it takes.

        Args:
            batch: seconds that a training batch takes.
            image: as in `validation`.
        """
        train = self.config.train
        validations = -(-self.epochs // train.validate_every) * self.validation(image)
        training = batch * self.batches + validations
        if train.max_hours is not None:
            training = min(training, train.max_hours * 3600)
        epoch = batch * self.batches_per_epoch + self.validation(image)
        return Forecast(epoch, training + self.end(epoch, image), self.folds)

    @property
    def _averages(self) -> int:
        return sum(asked is not None for asked in (self.config.averaging.ema, self.config.averaging.swa_start))

    @property
    def _candidates(self) -> int:
        """Networks that are scored: the best, the averages, the snapshots one by one, and these all together."""
        cycles = self.config.schedule.cycles
        return 1 + self._averages + (2 * cycles if cycles > 1 else 0)


@dataclass(frozen=True)
class Forecast:
    """Seconds that an epoch with its validation takes, and a fold with all that it leaves; ``folds``: how many."""

    epoch: float
    fold: float
    folds: int

    def __str__(self) -> str:
        whole = f", all {self.folds} folds {duration(self.folds * self.fold)}" if self.folds > 1 else ""
        return f"an epoch takes about {duration(self.epoch)}, this fold {duration(self.fold)}{whole}"


def duration(seconds: float) -> str:
    """A length of time for people: ``45 s``, ``12 min``, ``3.5 h``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
