"""Which memory layout trains faster on this device, and whether the compiled network does."""

import logging
import statistics
import time
from collections.abc import Mapping
from typing import TypeVar

from maskfold.device import steady_shapes
from maskfold.training.trial import Trial

logger = logging.getLogger(__name__)
Way = TypeVar("Way")

STEPS = 20  # of each way
ENOUGH = 5  # steps, where they take long
LONGEST = 120.0  # seconds of all ways together, their first steps left aside
GAIN = 1.02  # what is hardly faster is noise


def fastest(trials: Mapping[Way, Trial], images: int) -> Way:
    """The way whose median training step is the shortest; the first one unless another gains more than 2 %.

    All take turns on the same batch, so that what else the machine does slows all of them alike. A way that fails, for
    want of a compiler say, is left out.

    Args:
        trials: by way, the usual one first.
        images: of the batch.
    """
    usual = next(iter(trials))
    batch = trials[usual].batch(images)
    seconds: dict[Way, list[float]] = {}
    with steady_shapes():
        for way, trial in trials.items():
            try:
                trial.step_seconds(batch)
                trial.step_seconds(batch)  # the first step made the optimiser's state and compiled
            except RuntimeError as error:
                if way == usual:
                    raise
                logger.info("%s cannot be had here: %s", way, str(error).partition("\n")[0])
            else:
                seconds[way] = []
        started = time.monotonic()
        while len(seconds) > 1 and len(seconds[usual]) < STEPS:
            if len(seconds[usual]) >= ENOUGH and time.monotonic() - started > LONGEST:
                break
            for way, found in seconds.items():
                found.append(trials[way].step_seconds(batch))
    medians = {way: statistics.median(found or [0.0]) for way, found in seconds.items()}
    best = min(medians, key=lambda way: medians[way])
    return best if medians[best] * GAIN < medians[usual] else usual
