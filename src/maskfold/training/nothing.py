"""Whether there is anything to learn: labels without a pixel that counts, masks that are all empty."""

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from maskfold.datasets import coverages
from maskfold.errors import TrainingError
from maskfold.program import command_line

if TYPE_CHECKING:
    from maskfold.training.session import Session

logger = logging.getLogger(__name__)


class Seen:
    """What the batches of an epoch held so far; looking costs nothing once both were seen.

    Attributes:
        valid: a pixel that counts.
        foreground: a pixel of an object, or of another class than the first.
    """

    def __init__(self) -> None:
        self.valid = self.foreground = False

    def look(self, batch: Mapping[str, Any], *, exclusive: bool) -> None:
        """Look at a batch, on the CPU."""
        if not self.valid:
            self.valid = bool(batch["valid"].any())
        if not self.foreground:
            mask = batch["targets"]["mask"]
            self.foreground = bool((mask[:, 1:] if exclusive and mask.ndim == 4 else mask).any())


def refuse_nothing(session: "Session", seen: Seen) -> None:
    """Refuse to go on after an epoch in which there was nothing to learn.

    Raises:
        TrainingError: no pixel of the epoch's labels counted, or all masks of the fold's training images are empty.
    """
    check = command_line("check-data")
    if not seen.valid:
        raise TrainingError(
            f"no pixel of the labels of epoch {session.epoch} counted: all of them are to be ignored, so nothing is "
            f"learned; look at the masks and at the profile's ignored values ({check})"
        )
    if seen.foreground:
        return
    targets, samples = session.config.targets, session.run.fold_samples(session.fold.name)[0]
    elsewhere = targets.annotators or targets.teacher or targets.sources or session.config.data.extra
    if elsewhere or np.any(coverages(session.competition, samples) > 0):
        logger.warning("no training crop of epoch %d held any object: see data.positive_share", session.epoch)
        return
    raise TrainingError(
        f"all {len(samples)} masks of the training images of fold {session.fold.name} are empty, so nothing is "
        f"learned: look at the masks and at the profile ({check})"
    )
