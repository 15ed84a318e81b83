"""Semi-supervised training: on images without labels the network is to predict what its moving average predicts.

Tarvainen & Valpola (2017), Mean teachers are better role models, arXiv 1703.01780; weak and strong augmentation and the
threshold: Sohn et al. (2020), FixMatch, arXiv 2001.07685.
"""

import logging
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from maskfold.config import SemiConfig
from maskfold.errors import TrainingError
from maskfold.models import SegmentationModel
from maskfold.training.step import Setup, Supervised

logger = logging.getLogger(__name__)


class MeanTeacher(Supervised):
    """`Supervised`, and a term ``consistency`` on images without labels.

    The teacher, the moving average of the network's weights, sees an image as it is; the network, the student, sees the
    same pixels in other colours, and is to predict the teacher's probabilities: see `consistency`. The two kinds of
    images go through the student one after the other, so that batch norms normalise each by itself. What they keep for
    images to come, and validation and the teacher use, is of the labelled ones alone: nothing to come has such colours.
    ``confident`` is the share of the pixels that count.

    The teacher is the average that `maskfold.training.averaging` keeps, so what it ends as is the checkpoint ``ema``;
    it is saved with the averages. It predicts without dropout, and with the student's statistics of batch norms, which
    averages take over with every step.
    """

    def __init__(self, setup: Setup, teacher: nn.Module) -> None:
        """``setup.config`` has a section ``semi``; ``teacher``, a network like theirs, is moved by somebody else."""
        super().__init__(setup)
        assert setup.config.semi is not None
        self.options = setup.config.semi
        self.teacher = teacher
        self.weight = 0.0

    def begin_epoch(self, epoch: int) -> None:
        super().begin_epoch(epoch)
        self.teacher.eval()
        self.weight = self.options.weight * ramp_up(epoch, self.options.ramp_epochs)

    def learn(self, batch: Mapping[str, Any]) -> dict[str, Tensor]:
        if not self.weight:
            return super().learn(batch)
        _, loss, terms = self.supervise(batch)
        self.accelerator.backward(loss)
        unlabelled = batch["unlabelled"]
        expected = self._expected(unlabelled["weak"])
        with _untracked(self.network):
            found = self.labels.activate(self.wrapped["network"](unlabelled["strong"]).logits.float())
        term, confident = consistency(
            found, expected, unlabelled["valid"], self.options.threshold, exclusive=self.labels.exclusive
        )
        further = self.weight * term
        self.accelerator.backward(further)
        return {"loss": (loss + further).detach(), **terms, "consistency": term.detach(), "confident": confident}

    @torch.no_grad()
    def _expected(self, images: Tensor) -> Tensor:
        """The teacher's probabilities, (N, C, H, W) float32."""
        with self.accelerator.autocast():
            return self.labels.activate(self.teacher(images).logits.float())


@contextmanager
def _untracked(module: nn.Module) -> Iterator[None]:
    """Inside, batch norms in training mode normalise by the batch, as ever, and leave their running statistics."""
    norms = [each for each in module.modules() if isinstance(each, _BatchNorm) and each.track_running_stats]
    for norm in norms:
        norm.track_running_stats = False
    try:
        yield
    finally:
        for norm in norms:
            norm.track_running_stats = True


def consistency(
    found: Tensor, expected: Tensor, valid: Tensor, threshold: float, *, exclusive: bool
) -> tuple[Tensor, Tensor]:
    """Squared difference of probabilities where the teacher is certain, and the share of pixels where it is.

    The difference is summed over exclusive classes, as in Brier's score, else each class has its own. The mean is over
    all pixels of the images, those that do not count as zeros (as in FixMatch), so that a few certain pixels early in
    training do not have the weight of all. Unlike cross-entropy it is zero where both agree, however uncertain both
    are, and its gradient is bounded by the student's own uncertainty, so a wrong teacher does little harm to a certain
    student; Tarvainen & Valpola found it to be better than a divergence.

    Args:
        found: the student's probabilities, (N, C, H, W).
        expected: the teacher's, of the same shape, without gradient.
        valid: bool (N, 1, H, W), where there is something of the image.
        threshold: least probability of the teacher's decision; where classes do not exclude each other, each class is
            decided for by itself.
        exclusive: whether each pixel has exactly one class.

    Returns:
        Two scalars, 0 where there is no pixel; only the first has a gradient.
    """
    errors = (found - expected).square()
    if exclusive:
        errors, certainty = errors.sum(1, keepdim=True), expected.amax(1, keepdim=True)
    else:
        certainty = torch.maximum(expected, 1 - expected)
    there = valid.expand_as(certainty)
    counted = there & (certainty >= threshold)
    pixels = there.sum().clamp_min(1)
    return torch.where(counted, errors, 0).sum() / pixels, counted.sum() / pixels


def ramp_up(epoch: int, length: int) -> float:
    """exp(-5 (1 - t)^2) with t = epoch / length, 1 from epoch ``length`` on (Tarvainen & Valpola, appendix B).

    Args:
        epoch: counted from 1.
        length: epochs; 0: always 1.
    """
    return math.exp(-5 * max(0.0, 1 - epoch / length) ** 2) if length else 1.0


def check_ramp(options: SemiConfig, epochs: int) -> None:
    """Say where a training of so many epochs ends before the weight has grown."""
    reached = ramp_up(epochs, options.ramp_epochs)
    if reached < 1:
        logger.warning(
            "semi.weight reaches only %.0f %% of %g: %d ramp_epochs do not fit in %d epochs",
            100 * reached, options.weight, options.ramp_epochs, epochs,
        )  # fmt: skip


def check_unlabelled(options: SemiConfig, network: SegmentationModel) -> None:
    """Refuse single images without labels where the network cannot be trained on one.

    Raises:
        TrainingError: says which key to set.
    """
    if options.weight and options.unlabelled_per_batch == 1 and network.pools_to_one:
        raise TrainingError(
            "semi.unlabelled_per_batch is 1, and this architecture cannot be trained on one image: set "
            "semi.unlabelled_per_batch to 2 or more"
        )
