"""Epochs, validations between them, and the average that suits the length."""

import math

from maskfold.planning.costs import SPARE, VALIDATION, Costs, Split
from maskfold.planning.reason import Reason

MOST = 2  # times the images beyond which nothing is gained
PARTS = 8  # epochs at least: each is stored and validated, and a training that is late stops at one
FEWEST, MOST_EPOCHS = 40, 500  # images of an epoch, ten steps of four; steps, not storing epochs, shall take the time
MINUTE = 60.0  # seconds that an epoch takes at least
UNUSED = 0.05  # of the images for which there is time, that whole epochs may leave out
SAVED = 10.0  # minutes, where an epoch takes twice as many


def is_enough(images: float, enough: float) -> bool:
    """Whether the hours have room for more images than are ever trained on."""
    return images > MOST * enough


def trained_images(room: float, *, shortest: float, enough: float) -> float:
    """That a fold trains on: what there is room for, but no more than twice what is worth it.

    Args:
        room: images that a fold can train on within the hours.
        shortest: images of the shortest training.
        enough: images beyond which nothing is gained.
    """
    return max(shortest, min(room, MOST * enough))


def epoch_images(images: float, costs: Costs) -> Reason:
    """All, or of many so few that a training has some epochs, or one for which there is time; few several times."""
    fewest = math.ceil(max(FEWEST, images / MOST_EPOCHS))
    if costs.split.train < fewest <= images / PARTS:
        few = f"{images / fewest:.0f} epochs, each of which is stored"
        return Reason(fewest, f"{few}, instead of {images / costs.split.train:.0f} of all images")
    parts = max(1, min(PARTS, int(images * costs.trained / MINUTE)))
    rounds = images / costs.split.train
    if rounds >= parts:
        return _all_or_nearly(images, math.floor(rounds), costs.split.train)
    if parts == 1:
        return Reason(int(images), f"{rounds:.2g} of all images: there is no time to see each once")
    return Reason(int(images / parts), f"{parts} epochs instead of {rounds:.2g} of all images")


def _all_or_nearly(images: float, whole: int, train: float) -> Reason:
    """Of so many whole epochs, or one more of fewer images."""
    unused = 1 - whole * train / images
    if unused <= UNUSED:
        return Reason(None, "each image once")
    epochs = f"{whole} epoch{'s' * (whole > 1)} of all images"
    return Reason(int(images / (whole + 1)), f"{epochs} would be {unused:.0%} less than planned")


def images_of_epoch(drawn: Reason, split: Split) -> float:
    """Images of an epoch of which so many are drawn."""
    return split.train if drawn.value is None else drawn.value


def epochs(room: float, images: float, epoch: float, *, enough: float, hours: float, folds: int) -> Reason:
    """As many as the images make; one at least.

    Args:
        room: images that a fold can train on within the hours.
        images: that it trains on.
        epoch: images of an epoch.
        enough: images beyond which nothing is gained.
        hours: for everything, of which a tenth is spare.
        folds: that are trained.
    """
    count = max(1, math.floor(images / epoch))
    if room < images:
        return Reason(count, f"{hours:.3g} hours have no room for it: the shortest training there is")
    if is_enough(room, enough):
        return Reason(count, f"{count * epoch:.0f} images: more gain nothing, and the hours are not used up")
    fold = "fold" if folds == 1 else "folds"
    return Reason(
        count, f"what {hours:.3g} hours have room for: {folds} {fold}, scores, maps, tuning, test; {SPARE:.0%} spare"
    )


def validate_every(costs: Costs, epoch: float, count: int) -> Reason:
    """So seldom that validation takes a tenth of the training."""
    training, validation = epoch * costs.trained, costs.split.valid * costs.predicted
    every = min(count, max(1, math.ceil(validation * (1 - VALIDATION) / (VALIDATION * training))))
    return Reason(every, f"a validation takes {validation:.3g} s, an epoch {training:.3g} s")


def save_minutes(costs: Costs, epoch: float) -> Reason:
    """Within epochs that take long, too: what is interrupted goes on from there."""
    minutes = epoch * costs.trained / 60
    return Reason(SAVED if minutes > 2 * SAVED else None, f"an epoch takes {minutes:.2g} min")


def ema(steps: int) -> Reason:
    """An average over the last sixth of the training.

    Source: decays that were chosen by hand follow it: 0.99 of 340 steps (demo), 0.995 of 1260 (satellite_mobilenet).
    """
    decay = min(0.9995, max(0.9, 1 - 6 / max(steps, 1)))
    return Reason(round(decay, 4), f"of {steps} steps: an average over a sixth of them")
