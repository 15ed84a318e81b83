"""The seconds of a whole competition, folds to submission, as a plan estimates them."""

from dataclasses import dataclass
from typing import NamedTuple

from maskfold.planning.fingerprint import Fingerprint
from maskfold.planning.networks import Cost

SPARE = 0.1  # of the hours is left over
COMMAND = 8.0  # seconds until a command works: imports, tables, the network
COMMANDS = 4  # train, tune, predict, report
TUNING = 4e-7  # seconds for each pixel of an out-of-fold map: reading, some twenty settings
CHECKPOINTS = 2  # best and ema: both are scored, and both leave out-of-fold maps
VALIDATION = 0.1  # of the training time goes into validation at most
OVERHEAD = 1.15  # of a step: augmentation, loss, metrics of the epoch; measured on the demo


class Split(NamedTuple):
    """How many images a fold sees.

    Attributes:
        train: in a round of its training.
        valid: that it validates.
    """

    train: float
    valid: float


@dataclass(frozen=True)
class Costs:
    """What an encoder at a scale takes for this data on this device; all in seconds.

    Attributes:
        data, cost, gpu, scale, views: what it is about.
        crop: side of what a training sample shows of an image after scale, in pixels.
        split: of each fold.
        windows, test_windows: pixels of all windows of a training and of a test image relative to the image's own; 1
            where it is predicted whole.
    """

    data: Fingerprint
    cost: Cost
    gpu: bool
    scale: float
    crop: int
    views: int
    split: Split
    windows: float = 1.0
    test_windows: float = 1.0

    @property
    def _millions(self) -> float:
        """Millions of pixels of an image after scale."""
        return self.data.pixels * self.scale**2 / 1e6

    @property
    def crops(self) -> float:
        """How many crops an image is worth, at least one."""
        return max(1.0, self._millions * 1e6 / self.crop**2)

    @property
    def reading(self) -> float:
        """Seconds to bring an image to the network: data workers hide it behind a GPU."""
        return 0.0 if self.gpu else self.data.reading

    @property
    def trained(self) -> float:
        """Training on one crop: an epoch has one of each image."""
        return OVERHEAD * self.crop**2 / 1e6 * self.cost.train + self.reading

    @property
    def predicted(self) -> float:
        """Prediction of an image, one view."""
        return self._millions * self.windows * self.cost.predict + self.reading

    @property
    def end(self) -> float:
        """What a fold does after its last epoch: scores, and out-of-fold maps."""
        return CHECKPOINTS * self.split.valid * self.predicted * (1 + self.views)

    def test(self, folds: int) -> float:
        """Prediction of the test images."""
        looks = self._millions * self.test_windows * self.cost.predict * self.views * folds
        return self.data.test * self.data.test_pixels * (looks + self.reading)

    def tuning(self, folds: int) -> float:
        """The choice of checkpoints and decoding."""
        return tuning_seconds(folds, self.split.valid, self.data.pixels)

    def training(self, seconds: float, folds: int) -> float:
        """What is left of ``seconds`` for the epochs of each fold, validations included."""
        fixed = COMMANDS * COMMAND + self.test(folds) + self.tuning(folds)
        return (seconds * (1 - SPARE) - fixed) / folds - self.end

    def images(self, seconds: float, folds: int) -> float:
        """How many images, a crop of each, every fold can train on within ``seconds`` for everything."""
        return max(0.0, self.training(seconds, folds)) * (1 - VALIDATION) / self.trained

    def total(self, images: float, folds: int) -> float:
        """Everything, where each fold trains on so many images."""
        fold = images * self.trained / (1 - VALIDATION) + self.end
        return folds * fold + COMMANDS * COMMAND + self.test(folds) + self.tuning(folds)


def tuning_seconds(folds: int, images: float, pixels: float) -> float:
    """The choice of checkpoints and decoding, from maps of so many images a fold, of so many pixels each."""
    return folds * images * CHECKPOINTS * pixels * TUNING
