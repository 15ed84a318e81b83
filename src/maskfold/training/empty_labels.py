"""Whether there is anything to learn: labels without a pixel that counts, masks that are all empty."""

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from accelerate.utils import gather_object

from maskfold.datasets import coverages
from maskfold.errors import TrainingError
from maskfold.labels import LabelSpec
from maskfold.program import command_line

if TYPE_CHECKING:
    from maskfold.training.session import Session

logger = logging.getLogger(__name__)


class Seen:
    """What the batches of an epoch held so far; looking costs nothing once both were seen.

    Attributes:
        valid: a pixel that counts.
        foreground: a pixel of an object, or of another class than the first.

    Args:
        labels: the classes.
        uniform: ``targets.smoothing.uniform``, of which every class has its share where there is nothing of it.
    """

    def __init__(self, labels: LabelSpec, uniform: float = 0.0) -> None:
        self.valid = self.foreground = False
        self.exclusive = labels.exclusive
        self.nothing = uniform / (labels.channels if labels.exclusive else 2) + 1e-6

    def look(self, batch: Mapping[str, Any]) -> None:
        """Look at a batch."""
        if not self.valid:
            self.valid = bool(batch["valid"].any())
        if not self.foreground:
            mask = batch["targets"]["mask"]
            objects = mask[:, 1:] if self.exclusive and mask.ndim == 4 else mask
            self.foreground = bool((objects > self.nothing).any())

    def of_all(self) -> tuple[bool, bool]:
        """``valid`` and ``foreground`` of all processes together, which all of them have to ask for."""
        valid, foreground = zip(*gather_object([(self.valid, self.foreground)]), strict=True)
        return any(valid), any(foreground)


def refuse_empty_labels(session: "Session", seen: Seen) -> None:
    """Refuse to go on after an epoch in which there was nothing to learn.

    Raises:
        TrainingError: no pixel of the epoch's labels counted, or all masks of the fold's training images are empty.
    """
    check, (valid, foreground) = command_line("check-data"), seen.of_all()
    if not valid:
        raise TrainingError(
            f"no pixel of the labels of epoch {session.epoch} counted: all of them are to be ignored, so nothing is "
            f"learned; look at the masks and at the profile's ignored values ({check})"
        )
    if foreground:
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
