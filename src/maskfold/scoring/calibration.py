"""Calibration of out-of-fold probabilities, as they are and at the temperature that suits them, cross-fitted."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from maskfold.competitions import Competition
from maskfold.config import FoldsConfig
from maskfold.ensembling.choice import EnsembleChoice
from maskfold.ensembling.oof import OofImage, groups_of
from maskfold.ensembling.tune import parts_of
from maskfold.errors import InferenceError
from maskfold.metrics import CalibrationMetrics
from maskfold.metrics.temperature import TEMPERATURES, log_losses, tempered
from maskfold.scoring.evaluate import choice_images


@dataclass(frozen=True)
class Calibration:
    """Of probabilities before decoding.

    Attributes:
        before: `CalibrationMetrics.compute` of the probabilities, and ``log_loss``, the mean over pixels.
        after: the same with each image at the temperature that was fitted without its fold (see `parts_of`).
        temperature: fitted to all images.
    """

    before: dict[str, float]
    after: dict[str, float]
    temperature: float

    @property
    def helps(self) -> bool:
        """Whether temperatures lower the log loss of images that they were not fitted to."""
        return self.after["log_loss"] < self.before["log_loss"]

    def lines(self) -> str:
        """Both, for people to read."""
        found = [f"calibration of these probabilities (0 is best): {_figures(self.before)}"]
        if self.helps:
            found.append(f"at temperature {self.temperature:.2f}, cross-fitted: {_figures(self.after)}")
        else:
            found.append("no temperature lowers the log loss of images that it was not fitted to")
        return "\n".join(found)


def calibration_oof(choice: EnsembleChoice, competition: Competition, *, batch_size: int | None = None) -> Calibration:
    """Calibration of a choice's out-of-fold probabilities.

    The temperature is the one of `TEMPERATURES` with the lowest log loss, on a sample of pixels of every image.

    Args:
        choice: the runs, and how their maps are made.
        competition: the runs'.
        batch_size: images per batch where maps are computed; `None`: as in each run's config.
    """
    runs, labels = choice.open_runs(), competition.labels
    images = choice_images(choice, runs, competition, batch_size=batch_size)
    fit = _fitted(images, choice, competition, runs[0].config.folds)
    before, after = CalibrationMetrics(labels), CalibrationMetrics(labels)
    for place, image in zip(fit.places, images, strict=True):
        probability, truth = image.probability(choice.mix), image.truth(competition)
        before.update(probability, truth)
        after.update(tempered(probability, TEMPERATURES[place], labels), truth)
    return Calibration(
        {**before.compute(), "log_loss": fit.before}, {**after.compute(), "log_loss": fit.after}, fit.temperature
    )


def fold_temperatures(
    choice: EnsembleChoice, competition: Competition, *, batch_size: int | None = None
) -> dict[str, float]:
    """Fold's name -> the temperature that suits the out-of-fold probabilities of the others: its own have no say.

    Args:
        choice, competition, batch_size: as for `calibration_oof`.

    Returns:
        Nothing where temperatures do not lower the log loss of images that they were not fitted to.

    Raises:
        InferenceError: only one fold is finished.
    """
    runs = choice.open_runs()
    images = choice_images(choice, runs, competition, batch_size=batch_size)
    folds = sorted({image.fold for image in images})
    if len(folds) == 1:
        raise InferenceError(
            f"only fold {folds[0]} is finished, and a fold's temperature is fitted to the images of others: train "
            "another fold, or do without the temperature"
        )
    fit = _fitted(images, choice, competition, runs[0].config.folds)
    chosen = {str(image.fold): TEMPERATURES[place] for place, image in zip(fit.places, images, strict=True)}
    return chosen if fit.after < fit.before else {}


@dataclass(frozen=True)
class _Fit:
    """Log losses per pixel at temperature 1 and cross-fitted; places in `TEMPERATURES`, image by image; that of all."""

    before: float
    after: float
    places: list[int]
    temperature: float


def _fitted(images: Sequence[OofImage], choice: EnsembleChoice, competition: Competition, folds: FoldsConfig) -> _Fit:
    parts = parts_of(images, groups_of(competition, [image.id for image in images], folds))
    losses, pixels = np.zeros((len(images), len(TEMPERATURES))), 0
    for row, image in zip(losses, images, strict=True):
        sums, count = log_losses(image.probability(choice.mix), image.truth(competition), competition.labels)
        row += sums
        pixels += count
    of_part = {part: _best(losses[parts != part]) for part in np.unique(parts)}
    places = [of_part[part] for part in parts]
    after = np.take_along_axis(losses, np.array(places, int)[:, None], 1).sum()
    return _Fit(
        float(losses[:, _PLAIN].sum() / max(pixels, 1)),
        float(after / max(pixels, 1)),
        places,
        TEMPERATURES[_best(losses)],
    )


_PLAIN = TEMPERATURES.index(1.0)


def _best(losses: np.ndarray) -> int:
    """Place of the temperature with the lowest sum, of equal ones the nearest to 1."""
    sums = losses.sum(0)
    return min(range(len(sums)), key=lambda place: (sums[place], abs(math.log(TEMPERATURES[place]))))


def _figures(errors: dict[str, float]) -> str:
    return (
        f"decisions {errors['ece']:.4f}, classes {errors['sce']:.4f}, Brier {errors['brier']:.4f}, log loss "
        f"{errors['log_loss']:.4f}"
    )
