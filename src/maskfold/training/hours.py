"""How many steps fit the hours that a config gives."""

from dataclasses import replace

from maskfold.errors import TrainingError
from maskfold.training.forecast import Forecast, Pace, Work, duration, hours_for

SPARE = 0.05  # of the time is left, for what else the machine does
LEAST_STEPS = 20  # of a training that deserves the name; an epoch, where that is shorter
LONGEST = 10**6  # steps of the training that is opened to be measured


def iterations_within(seconds: float, work: Work, pace: Pace) -> int:
    """The most optimiser steps with which a fold, with all that it leaves, takes no longer than ``seconds``.

    Args:
        seconds: of which `SPARE` is left over.
        work: of one of the folds; its length does not matter.
        pace: as measured.

    Returns:
        Steps; 0 where not even `least_steps` fit.
    """
    most = seconds * (1 - SPARE)
    low, high = least_steps(work), LONGEST
    if of_length(work, low, pace).fold > most:
        return 0
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if of_length(work, middle, pace).fold <= most else (low, middle)
    return low


def of_length(work: Work, steps: int, pace: Pace) -> Forecast:
    """What a training of so many optimiser steps takes, if ``train.max_hours`` does not end it before."""
    batches = steps * work.config.train.accumulate
    epochs = -(-batches // work.batches_per_epoch)
    whole = work.config.model_copy(update={"train": work.config.train.model_copy(update={"max_hours": None})})
    return replace(work, config=whole, epochs=epochs, batches=batches).forecast(pace)


def least_steps(work: Work) -> int:
    """Steps of the shortest training."""
    return min(LEAST_STEPS, max(1, work.batches_per_epoch // work.config.train.accumulate))


def length_within(hours: float, spent: float, folds: int, work: Work, pace: Pace) -> int:
    """Optimiser steps of each of ``folds`` folds, trained within ``hours``, of which ``spent`` seconds are gone.

    Raises:
        TrainingError: not all folds fit; the message says how many do.
    """
    left = hours * 3600 - spent
    if steps := iterations_within(left / folds, work, pace):
        return steps
    fold = of_length(work, least_steps(work), pace).fold / (1 - SPARE)
    room = max(0, int(left // fold))
    advice = f"train {room} of them (--folds), " if room else ""
    raise TrainingError(
        f"train.hours {hours:g} has room for {room} of {folds} fold{'s' * (folds > 1)}: the shortest training, of "
        f"{least_steps(work)} steps, takes {duration(fold)} with its scores and out-of-fold maps; {advice}give "
        f"{hours_for(folds * fold + spent)} hours, or lower data.scale, data.crop, train.oof_checkpoints or tta.views"
    )
