"""Whether probabilities mean what they say: calibration errors, Brier score, reliability curve."""

from typing import TYPE_CHECKING

import numpy as np

from maskfold.errors import MaskfoldError
from maskfold.labels import Label, LabelSpec
from maskfold.metrics.arrays import ratio

if TYPE_CHECKING:
    import pandas as pd

CONFIDENCE = "decision"
ROUNDED = 1e-5  # a mean of ten float32 maps that are 1 is a little more than 1


class CalibrationMetrics:
    """Calibration of probability maps over a set of labelled images, pixel by pixel.

    Probabilities fall into ``bins`` bins of equal width. Sums over pixels are kept for each bin and class, so that the
    result does not depend on the order of the images, and `merge` is exact up to rounding.

    Args:
        labels: the task and its classes.
        bins: of [0, 1], usually 15.

    Sources: Guo et al., "On Calibration of Modern Neural Networks", ICML 2017 (ECE); Nixon et al., "Measuring
    Calibration in Deep Learning", CVPRW 2019 (static calibration error); Brier, 1950.
    """

    def __init__(self, labels: LabelSpec, bins: int = 15) -> None:
        if bins < 1:
            raise MaskfoldError(f"bins is {bins}, expected 1 or more")
        self.labels = labels
        self.bins = bins
        rows = labels.channels + 1  # the last one is of decisions
        # Pixels, sum of their probabilities, and how many are of the class: (rows, bins) each.
        self.sums = np.zeros((3, rows, bins))
        self.squares = np.zeros(labels.channels)

    def update(self, probability: np.ndarray, label: Label) -> None:
        """Add one image.

        Args:
            probability: float32 (C, H, W) in [0, 1], or uint8 v that stands for v / 255.
            label: a hard label of the same size; pixels that are not valid are left out.

        Raises:
            MaskfoldError: another shape, or values outside [0, 1].
        """
        truth = self.labels.layers(label.values)
        if probability.shape != truth.shape:
            raise MaskfoldError(f"the probabilities are {probability.shape} and the label's layers {truth.shape}")
        scale = 255 if probability.dtype == np.uint8 else 1
        values = probability[:, label.valid].astype(np.float64) / scale
        truth = truth[:, label.valid]
        if values.size and not (values.min() >= -ROUNDED and values.max() <= 1 + ROUNDED):
            raise MaskfoldError(f"probabilities reach from {values.min()} to {values.max()}, expected 0 to 1")
        values = values.clip(0, 1)
        self.squares += ((values - truth) ** 2).sum(1)
        for row, (of_class, is_class) in enumerate(zip(values, truth, strict=True)):
            self._add(row, of_class, is_class)
        self._add(self.labels.channels, *self._decisions(values, truth))

    def merge(self, other: "CalibrationMetrics") -> "CalibrationMetrics":
        """Add the images of ``other``, which stays as it was; returns self."""
        if (self.labels, self.bins) != (other.labels, other.bins):
            raise MaskfoldError(f"cannot merge {self.labels}, {self.bins} bins and {other.labels}, {other.bins} bins")
        self.sums = self.sums + other.sums
        self.squares = self.squares + other.squares
        return self

    def row(self) -> np.ndarray:
        """All sums in one row, float64 (k,), of which rows of several images add up."""
        return np.concatenate([self.sums.ravel(), self.squares])

    @classmethod
    def of_rows(cls, labels: LabelSpec, rows: np.ndarray) -> "CalibrationMetrics":
        """The metrics of a set of images, from the `row` of each, (n, k), of the default number of bins."""
        found = cls(labels)
        total = rows.sum(0)
        found.sums = total[: found.sums.size].reshape(found.sums.shape)
        found.squares = total[found.sums.size :]
        return found

    def compute(self) -> dict[str, float]:
        """The scores, 0 is best; NaN where no pixel counts.

        ece: expected calibration error of decisions: the mean over pixels of how far confidence (the probability of
            what is decided at 0.5, or of the most probable class) is from the share of decisions that are right.
        sce: static, class-wise calibration error: the same of each class's probability and its share of the pixels,
            averaged over classes.
        brier: squared difference between probability and truth, summed over the classes of a multiclass task (as
            Brier did), else averaged over classes.
        """
        errors = self._errors()
        brier = ratio(self.squares, self.sums[0, :-1].sum(1))
        return {
            "ece": float(errors[-1]),
            "sce": float(errors[:-1].mean()),
            "brier": float(brier.sum() if self.labels.exclusive else brier.mean()),
        }

    def curve(self) -> "pd.DataFrame":
        """The reliability curve: ``class, pixels, probability, share``, a row for each bin with pixels.

        ``probability`` is the bin's mean, ``share`` how many of its pixels are of the class. The class `CONFIDENCE`
        is that of all decisions: their confidence, and the share that is right.
        """
        import pandas as pd  # only the table needs it

        names = [*self.labels.class_names, CONFIDENCE]
        pixels, probability, of_class = self.sums.reshape(3, -1)
        table = pd.DataFrame(
            {
                "class": np.repeat(names, self.bins),
                "pixels": pixels.astype(np.int64),
                "probability": ratio(probability, pixels),
                "share": ratio(of_class, pixels),
            }
        )
        return table[table["pixels"] > 0].reset_index(drop=True)

    def _add(self, row: int, values: np.ndarray, right: np.ndarray) -> None:
        place = np.minimum((values * self.bins).astype(np.intp), self.bins - 1)
        for total, weights in zip(self.sums, (None, values, right), strict=True):
            total[row] += np.bincount(place, weights, minlength=self.bins)

    def _decisions(self, values: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Confidence of every decision, and whether it is right."""
        if self.labels.exclusive:
            return values.max(0), np.take_along_axis(truth, values.argmax(0)[None], 0)[0]
        decided = values >= 0.5
        return np.where(decided, values, 1 - values).ravel(), (decided == truth).ravel()

    def _errors(self) -> np.ndarray:
        """Calibration error of every row."""
        pixels, probability, right = self.sums
        return ratio(np.abs(probability - right).sum(1), pixels.sum(1))
