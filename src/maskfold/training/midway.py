"""States inside an epoch (``train.save_minutes``): what a training needs to go on with the next batch, bit for bit."""

import random
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from accelerate.utils import broadcast_object_list, gather_object

from maskfold.training.finite import all_finite

if TYPE_CHECKING:
    from maskfold.training.empty_labels import Seen
    from maskfold.training.logging import EpochLog
    from maskfold.training.session import Session

# Of several processes the main one's clock decides, which it tells after so many optimiser steps.
ASKED_EVERY = 10


def save_if_due(session: "Session", log: "EpochLog", seen: "Seen", batch: int) -> None:
    """Store the state after a batch of the present epoch, counted from 1, where the last one is old enough.

    Nothing is stored of an epoch that broke: it ends with an error, and goes on before it broke.
    """
    minutes, length = session.config.train.save_minutes, session.length
    accumulate, alone = session.config.train.accumulate, session.accelerator.num_processes == 1
    if minutes is None or batch % (accumulate if alone else ASKED_EVERY * accumulate):
        return
    if batch == length.batches_per_epoch or session.step == length.steps:  # the whole epoch's own state follows
        return
    due = time.monotonic() - session.saved_at >= 60 * minutes
    if not (due if alone else broadcast_object_list([due])[0]):
        return
    if not all(gather_object([_sound(session, log)])):
        session.saved_at = time.monotonic()  # looking makes a GPU wait: not at each step from now on
        return
    session.save(
        {
            "batch": batch,
            "batches": length.batches_per_epoch,
            "sums": {name: value.cpu() for name, value in log.sums.items()},
            "counts": log.counts,
            "seen": seen.of_all(),
            "random": gather_object([_random_state()]),
        }
    )


def go_on(session: "Session", log: "EpochLog", seen: "Seen") -> int:
    """Batches of the present epoch that an earlier session has trained on; sampler and log go on from there.

    With another number of processes it is the same share of the epoch, but no longer the same bits.
    """
    found, session.midway = session.midway, None
    batch = 0 if found is None else batches_done(session, found)
    session.data.sampler.first = batch
    if found is None:
        return batch
    log.counts = dict(found["counts"])
    seen.valid, seen.foreground = found["seen"]
    log.sums = {name: value.to(session.accelerator.device) for name, value in found["sums"].items()}
    if len(found["random"]) == session.accelerator.num_processes:
        _set_random_state(found["random"][session.accelerator.process_index])
    return batch


def batches_done(session: "Session", found: dict[str, Any]) -> int:
    """The batches of a state inside an epoch, as this number of processes counts them: whole optimiser steps."""
    batch = found["batch"] * session.length.batches_per_epoch // found["batches"]
    return batch - batch % session.config.train.accumulate


def _sound(session: "Session", log: "EpochLog") -> bool:
    """Whether this process's losses of the epoch, and what its networks have learned, are numbers."""
    return all_finite([*log.sums.values(), *session.learned()])


def _random_state() -> dict[str, Any]:
    """Of all generators that a training draws from, as tensors and plain values."""
    name, keys, *rest = np.random.get_state()  # noqa: NPY002 (others may draw from it)
    return {
        "python": random.getstate(),
        "numpy": (name, torch.from_numpy(np.asarray(keys).astype(np.int64)), *rest),
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state() if torch.cuda.is_available() else None,
    }


def _set_random_state(state: dict[str, Any]) -> None:
    version, values, gauss = state["python"]
    random.setstate((version, tuple(values), gauss))
    name, keys, *rest = state["numpy"]
    np.random.set_state((name, keys.numpy().astype(np.uint32), *rest))  # noqa: NPY002
    torch.set_rng_state(state["torch"])
    if state["cuda"] is not None and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda"])
