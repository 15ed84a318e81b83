"""Which memory layout trains faster on this device, and whether the compiled network does."""

import logging
import math
import statistics
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any, TypeVar

from maskfold.device import steady_shapes
from maskfold.training.trial import Trial

logger = logging.getLogger(__name__)
Way = TypeVar("Way")

STEPS = 20  # of each way
ENOUGH = 5  # steps, where they take long
LONGEST = 120.0  # seconds of all ways together, their first steps left aside
GAIN = 1.02  # what is hardly faster is noise


def fastest(ways: Sequence[Way], opened: Callable[[Way], AbstractContextManager[Trial]], images: int) -> Way:
    """The way whose median training step is the shortest; the first one unless another gains more than 2 %.

    Each takes turns with the usual one on the same batch, so that what else the machine does slows both alike. No more
    than these two are open at a time, since the batch may fill the device's memory. A way that fails, for want of a
    compiler say, or of memory for both, is left out.

    Args:
        ways: the usual one first.
        opened: opens a training in a way, to be measured.
        images: of the batch.
    """
    usual, *others = ways
    with steady_shapes(), opened(usual) as trial:
        batch = trial.batch(images)
        if others:
            _warm_up(trial, batch)
        shares = {way: _share(way, opened, trial, batch, longest=LONGEST / len(others)) for way in others}
    best = min(shares, key=lambda way: shares[way], default=usual)
    return best if shares.get(best, 1.0) * GAIN < 1 else usual


def _share(
    way: Way,
    opened: Callable[[Way], AbstractContextManager[Trial]],
    usual: Trial,
    batch: dict[str, Any],
    *,
    longest: float,
) -> float:
    """Median seconds of a step in a way, as a share of the usual one's; infinite where the way cannot be had."""
    try:
        with opened(way) as trial:
            _warm_up(trial, batch)
            return _compared(trial, usual, batch, longest)
    except RuntimeError as error:  # torch.OutOfMemoryError is one
        logger.info("%s is not available here: %s", way, str(error).partition("\n")[0])
    usual.free()  # the error is gone, and with it what kept the other one's memory
    return math.inf


def _warm_up(trial: Trial, batch: dict[str, Any]) -> None:
    for _ in range(2):  # the first step makes the optimiser's state and compiles
        trial.step_seconds(batch)


def _compared(trial: Trial, usual: Trial, batch: dict[str, Any], longest: float) -> float:
    taken: list[tuple[float, float]] = []
    started = time.monotonic()
    while len(taken) < ENOUGH or (len(taken) < STEPS and time.monotonic() - started <= longest):
        taken.append((usual.step_seconds(batch), trial.step_seconds(batch)))
    usually, here = map(statistics.median, zip(*taken, strict=True))
    return here / usually
