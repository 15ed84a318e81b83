"""Epochs, validations between them, and the average that suits the length."""

import math

from maskfold.planning.costs import SPARE, VALIDATION, Costs
from maskfold.planning.reason import Reason

MOST = 2  # times the images beyond which nothing is gained


def is_enough(images: float, enough: float) -> bool:
    """Whether the hours have room for more images than are ever trained on."""
    return images > MOST * enough


def epochs(images: float, train: float, *, enough: float, hours: float, folds: int) -> Reason:
    """As many as the hours have room for, but no more than twice what is worth it; one at least.

    Args:
        images: that a fold can train on within the hours.
        train: images of an epoch.
        enough: images beyond which nothing is gained.
        hours: for everything, of which a tenth is spare.
        folds: that are trained.
    """
    if images < train:
        return Reason(1, f"{hours:.3g} hours have no room for it: the shortest training there is")
    count = max(1, math.floor(min(images, MOST * enough) / train))
    if is_enough(images, enough):
        return Reason(count, f"{count * train:.0f} images: more gain nothing, and the hours are not used up")
    fold = "fold" if folds == 1 else "folds"
    return Reason(
        count, f"what {hours:.3g} hours have room for: {folds} {fold}, scores, maps, tuning, test; {SPARE:.0%} spare"
    )


def validate_every(costs: Costs, train: float, count: int) -> Reason:
    """So seldom that validation takes a tenth of the training."""
    epoch, validation = train * costs.trained, costs.valid * costs.predicted
    every = min(count, max(1, math.ceil(validation * (1 - VALIDATION) / (VALIDATION * epoch))))
    return Reason(every, f"a validation takes {validation:.3g} s, an epoch {epoch:.3g} s")


def ema(steps: int) -> Reason:
    """An average over the last sixth of the training.

    Source: decays that were chosen by hand follow it: 0.99 of 340 steps (demo), 0.995 of 1260 (satellite_mobilenet).
    """
    decay = min(0.9995, max(0.9, 1 - 6 / max(steps, 1)))
    return Reason(round(decay, 4), f"of {steps} steps: an average over a sixth of them")
