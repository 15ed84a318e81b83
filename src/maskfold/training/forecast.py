"""What a training will take, from the pace of a few batches and images. All times are seconds."""

import math
import statistics
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from maskfold.competitions import Competition, Sample, Samples
from maskfold.config import Config, TTAConfig
from maskfold.ensembling.rasters import tile_side, usual_window
from maskfold.inference.stitch import WindowGrid
from maskfold.inference.views import build_views
from maskfold.picks import every_nth
from maskfold.resizing import scaled_size
from maskfold.runs.fold import ALL

if TYPE_CHECKING:
    from maskfold.training.session import Session

MEASURED = 20  # batches; the first quarter of them, in which a device and its caches warm up, is left out
BLOCKS = 3  # of batches, of which the middle one counts: other work on the machine disturbs one of them
LOOKED_AT = 200  # test images whose sizes are read


class Stopwatch:
    """The pace of work that comes in batches: seconds per unit, the first batches left out, of the median block.

    Attributes:
        pace: seconds per unit; None until enough batches were seen.
    """

    def __init__(
        self,
        batches: int = MEASURED,
        *,
        longest: float = float("inf"),
        clock: Callable[[], float] | None = None,
        settle: Callable[[], None] = lambda: None,
    ) -> None:
        """See the class.

        Args:
            batches: to look at, at least 1; the first quarter of them is not counted.
            longest: seconds after which fewer batches will do, at least one.
            clock: the time; None: `time.monotonic`.
            settle: waits until the device has done what it was given.
        """
        self.batches, self._warm_up = batches, batches // 4
        self.longest, self.clock, self.settle = longest, clock or time.monotonic, settle
        self.pace: float | None = None
        self._block = -(-(batches - self._warm_up) // BLOCKS)
        self._paces: list[float] = []
        self._seen, self._amount, self._since, self._block_since = 0, 0.0, 0.0, 0.0

    def start(self) -> None:
        """To be called before the first batch."""
        self._since = self._block_since = self.clock()

    def lap(self, amount: float = 1) -> float | None:
        """To be called after each batch, with its units of work; the pace, once: with the batch that completes it."""
        if self.pace is not None:
            return None
        self._seen += 1
        late = self.clock() - self._since > self.longest
        if self._seen <= self._warm_up:
            if self._seen == self._warm_up or late:
                self._warm_up = self._seen
                self.settle()
                self.start()
            return None
        self._amount += amount
        last = self._seen == self.batches or late
        if last or (self._seen - self._warm_up) % self._block == 0:
            self._end_block()
        if last:
            self.pace = statistics.median(self._paces)
        return self.pace

    def _end_block(self) -> None:
        self.settle()
        now = self.clock()
        self._paces.append((now - self._block_since) / self._amount)
        self._block_since, self._amount = now, 0.0


@dataclass(frozen=True)
class Pace:
    """Seconds, as measured; 0 where nothing was.

    Attributes:
        batch: of a training batch.
        image: of a validation image with the config's views, decoded and scored.
        plain: of one without views.
        saving: of the complete state and of the best weights, which are stored after an epoch.
        start: from the opening of a fold's training to its first batch.
    """

    batch: float = 0.0
    image: float = 0.0
    plain: float = 0.0
    saving: float = 0.0
    start: float = 0.0

    def with_prediction(self, other: "Pace") -> "Pace":
        """This one, with what ``other`` has of prediction."""
        return replace(self, image=other.image, plain=other.plain)


@dataclass(frozen=True)
class Work:
    """How much there is to do for one fold.

    Attributes:
        config: the experiment's.
        epochs: of the training.
        batches_per_epoch: of one process.
        batches: of all epochs, of one process; the last epoch may be shorter than the others.
        valid_images: of the fold.
        folds: of the run that are trained; 1 where all images are trained on.
        processes: that train together.
        networks: that predict the test images together.
        test_images: as many validation images as the test images are, by their pixels.
        watched_images: training images that are scored beside the validation images.
    """

    config: Config
    epochs: int
    batches_per_epoch: int
    batches: int
    valid_images: int
    folds: int = 1
    processes: int = 1
    networks: int = 1
    test_images: float = 0.0
    watched_images: int = 0

    @classmethod
    def of(cls, session: "Session") -> "Work":
        """That of a fold whose training was opened."""
        length, config = session.length, session.config
        folds = 1
        if session.fold.name != ALL:
            folds = len(session.run.folds_to_train())
        return cls(
            config=config,
            epochs=length.epochs,
            batches_per_epoch=length.batches_per_epoch,
            batches=length.steps * config.train.accumulate,
            valid_images=len(session.data.valid_ids),
            folds=folds,
            processes=session.accelerator.num_processes,
            networks=folds * (config.schedule.cycles if config.inference.checkpoint == "snapshots" else 1),
            test_images=_test_images(session.competition, session.data.valid_ids, config),
            watched_images=len(session.data.watched_ids),
        )

    @property
    def views(self) -> int:
        """How often prediction looks at an image."""
        return len(build_views(self.config.tta.views, self.config.tta.scales)) * max(1, self.config.tta.dropout_passes)

    def check(self, pace: Pace) -> float:
        """The two validation batches that are predicted before the first epoch, with the config's views and without."""
        return min(self.valid_images, 2 * self.config.inference.batch_size) * (pace.image + pace.plain)

    def validation(self, pace: Pace) -> float:
        """One validation while training goes on: without views, the images shared among the processes."""
        return (self.valid_images + self.watched_images) * pace.plain / self.processes

    def out_of_fold(self, pace: Pace) -> float:
        """The out-of-fold maps that are stored in the end, with the config's views."""
        return min(self.config.train.oof_checkpoints, self._candidates) * self.valid_images * self._image(pace)

    def prediction(self, pace: Pace) -> float:
        """The test images, by all networks."""
        return self.networks * self.test_images * self._image(pace)

    def _image(self, pace: Pace) -> float:
        """A prediction with the config's views and, where batch norms are adapted, the look before it."""
        return pace.image + (0 if self.config.tta.batch_norm_prior is None else pace.plain)

    def end(self, pace: Pace) -> float:
        """What follows the last epoch: statistics of averages, scores of all candidates, out-of-fold maps."""
        batches = min(self.config.averaging.bn_batches, self.batches_per_epoch)
        forward = self._averages * batches * pace.batch / 3
        scores = self._candidates * self.valid_images * pace.plain
        return forward + scores + self.out_of_fold(pace)

    def forecast(self, pace: Pace) -> "Forecast":
        """What all of it takes."""
        train = self.config.train
        validations = -(-self.epochs // train.validate_every) * self.validation(pace)
        training = pace.batch * self.batches + validations + self.epochs * pace.saving
        if train.max_hours is not None:
            training = min(training, train.max_hours * 3600)
        epoch = pace.batch * self.batches_per_epoch + self.validation(pace) + pace.saving
        fold = pace.start + self.check(pace) + training + self.end(pace)
        return Forecast(epoch, fold, self.folds, self.out_of_fold(pace), self.prediction(pace))

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
    """Seconds.

    Attributes:
        epoch: with its validation.
        fold: with all that it leaves.
        folds: how many there are.
        maps: a fold's out-of-fold maps, a part of ``fold``.
        test: the prediction of the test images by all folds.
    """

    epoch: float
    fold: float
    folds: int
    maps: float = 0.0
    test: float = 0.0

    def __str__(self) -> str:
        maps = f" ({duration(self.maps)} of it for out-of-fold maps)" if self.maps else ""
        whole = f", all {self.folds} folds {duration(self.folds * self.fold)}" if self.folds > 1 else ""
        test = f", the test images {duration(self.test)}" if self.test else ""
        return f"an epoch takes about {duration(self.epoch)}, this fold {duration(self.fold)}{maps}{whole}{test}"


def duration(seconds: float) -> str:
    """A length of time for people: ``45 s``, ``12 min``, ``3.5 h``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def hours_for(seconds: float) -> str:
    """The hours to give for so many seconds, in two digits, rounded up: fewer would be refused again."""
    hours = seconds / 3600
    digit = 10.0 ** (math.floor(math.log10(hours)) - 1)
    return f"{math.ceil(hours / digit) * digit:g}"


def pixels(competition: Competition, samples: Iterable[Sample]) -> int:
    """Of all these images, as they are stored; only headers are read."""
    return sum(math.prod(competition.size(sample.image)) for sample in samples)


def relative_pixels(competition: Competition, test: Samples, train: Samples, tta: TTAConfig, scale: float) -> float:
    """Mean pixels of a test image as networks see it, relative to a training image's; of many test images some tell it.

    Only headers are read.

    Args:
        test, train: of the competition, one of each at least.
        tta: what windows share counts for each of them.
        scale: ``data.scale``.
    """

    def mean(samples: Samples) -> float:
        return statistics.fmean(_seen_pixels(competition, sample, tta, scale) for sample in samples)

    return mean(Samples(every_nth(test, LOOKED_AT))) / mean(train)


def _seen_pixels(competition: Competition, sample: Sample, tta: TTAConfig, scale: float) -> int:
    size = scaled_size(competition.seen_size(sample), scale)
    window = tta.window
    if window is None and competition.by_windows(sample):
        window = usual_window(tile_side(competition), scale)
    return math.prod(size) if window is None else WindowGrid(size, window, tta.overlap).pixels


def _test_images(competition: Competition, valid_ids: list[str], config: Config) -> float:
    """The test images in validation images."""
    test = competition.survey("test").samples
    if not len(test) or not valid_ids:
        return float(len(test))
    valid = competition.samples("train").select(valid_ids)
    return len(test) * relative_pixels(competition, test, valid, config.tta, config.data.scale)
