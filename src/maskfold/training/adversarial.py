"""Adversarial training: a second network learns to tell true masks from predicted ones, the first one to fool it.

Luc, Couprie, Chintala & Verbeek (2016), Semantic Segmentation using Adversarial Networks, arXiv 1611.08408.
"""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from maskfold.config import AdversarialConfig
from maskfold.errors import ConfigError
from maskfold.losses import SegmentationLoss
from maskfold.losses.mixed import ramp
from maskfold.models import Discriminator
from maskfold.training.step import Setup, Supervised

logger = logging.getLogger(__name__)

CONFIDENT = 0.9  # the paper's tau: what a true mask claims at least
BETAS = (0.5, 0.999)  # of Adam, as in DCGAN (Radford et al., 2016, arXiv 1511.06434)


class Adversarial(Supervised):
    """`Supervised`, and a `Discriminator` that sees pairs of image and mask.

    The loss gets the further term ``adversarial``, -log D(image, prediction), with the weight of the config: the
    paper's form, which is steep where the discriminator is right (Goodfellow et al., 2014, arXiv 1406.2661). The
    discriminator learns from ``discriminator``, the binary cross-entropy of its verdicts, 0.69 where it cannot tell, by
    Adam; its learning rate follows the network's schedule, so that the goal that it sets moves no faster than the
    network. Both learn from the same forward pass, and neither gets gradients from the other's loss.

    A prediction is a map of probabilities, and a truth of zeros and ones would give itself away by that alone. So the
    truth is shown as `scaled_truth`: the paper's variant "scaling". Both are 0 in all classes where a pixel does not
    count, which shows nothing and lets no gradient through; a verdict counts by the share of its pixels that do.
    """

    def __init__(self, setup: Setup) -> None:
        """``setup.config`` has a section ``adversarial``."""
        super().__init__(setup)
        network, config, labels = setup.network, setup.config, setup.labels
        assert config.adversarial is not None
        self.options = config.adversarial
        self.weight = 0.0
        self.pixels = SegmentationLoss(labels.task)
        self.discriminator = Discriminator(
            images=len(network.mean), classes=labels.channels, width=self.options.width
        ).to(self.accelerator.device)
        if config.train.channels_last:
            self.discriminator.to(memory_format=torch.channels_last)
        optimizer = torch.optim.Adam(self.discriminator.parameters(), self.options.lr, BETAS)
        optimizer.param_groups[0]["initial_lr"] = self.options.lr
        self.add("discriminator", self.discriminator, optimizer)

    def begin_epoch(self, epoch: int) -> None:
        super().begin_epoch(epoch)
        self.weight = self.options.weight * ramp(epoch, self.options.from_epoch, self.options.ramp_epochs)
        self.learning = ("network", "discriminator") if self.weight else ("network",)

    def learn(self, batch: Mapping[str, Any]) -> dict[str, Tensor]:
        if not self.weight:
            return super().learn(batch)
        outputs, loss, terms = self.supervise(batch)
        images, valid = self.network.normalised(batch["image"]), batch["valid"]
        predicted, true = self._masks(outputs.logits, batch["targets"]["mask"], valid)
        with _fixed(self.discriminator):
            fooled = verdict_loss(self.discriminator(images, predicted), valid, true=True)
        loss = loss + self.weight * fooled
        self.accelerator.backward(loss)
        told_apart = self._tell_apart(images, predicted.detach(), true, valid)
        self.accelerator.backward(told_apart)
        found = {"adversarial": fooled.detach(), "discriminator": told_apart.detach()}
        return {"loss": loss.detach(), **terms, **found}

    def _masks(self, logits: Tensor, target: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
        """Prediction and truth as the discriminator sees them, (N, C, H, W)."""
        logits, target, valid = self.pixels.prepare(logits, target, valid)
        predicted = torch.where(valid, self.pixels.probabilities(logits), 0)
        return predicted, scaled_truth(target, predicted.detach(), exclusive=self.pixels.exclusive)

    def _tell_apart(self, images: Tensor, predicted: Tensor, true: Tensor, valid: Tensor) -> Tensor:
        # One pass for both: data parallel wants one forward for each backward.
        both = torch.cat([images, images]), torch.cat([true, predicted])
        of_true, of_predicted = self.wrapped["discriminator"](*both).chunk(2)
        return (verdict_loss(of_true, valid, true=True) + verdict_loss(of_predicted, valid, true=False)) / 2


def scaled_truth(truth: Tensor, predicted: Tensor, *, exclusive: bool) -> Tensor:
    """A true mask that cannot be told from a prediction by its values alone (Luc et al., section 3.2, "scaling").

    The true class of a pixel gets the probability that is predicted for it, but at least `CONFIDENT`; what is left is
    divided among the other classes as the prediction divides it. A class that excludes no other is one of two, itself
    and its absence. Of soft labels it is the mean over the classes that may be true; where both are 0 it is 0.

    Args:
        truth: (N, C, H, W) in [0, 1], hard classes one-hot.
        predicted: probabilities of the same shape.
        exclusive: whether each pixel has exactly one class.
    """
    if not exclusive:
        return truth * predicted.clamp_min(CONFIDENT) + (1 - truth) * predicted.clamp_max(1 - CONFIDENT)
    # What a class keeps of its probability where another one is true: that one's rest, now relative to before.
    kept = (1 - CONFIDENT) / (1 - predicted).clamp_min(1 - CONFIDENT)
    others_true = (truth * kept).sum(1, keepdim=True) - truth * kept
    return truth * predicted.clamp_min(CONFIDENT) + predicted * others_true


def verdict_loss(verdicts: Tensor, valid: Tensor, *, true: bool) -> Tensor:
    """Binary cross-entropy of verdicts, a scalar; 0 where no pixel counts.

    Args:
        verdicts: logits of "true", (N, 1, h, w).
        valid: bool (N, 1, H, W), the pixels that count; a verdict has the weight of the share that it has of them.
        true: what they should say.
    """
    weights = F.avg_pool2d(valid.float(), Discriminator.stride, ceil_mode=True)
    losses = F.softplus(-verdicts if true else verdicts)
    return (weights * losses).sum() / weights.sum().clamp_min(torch.finfo(weights.dtype).tiny)


def check_reached(options: AdversarialConfig, epochs: int) -> None:
    """Refuse a second network that a training of so many epochs never begins, and say where its weight stays small.

    Raises:
        ConfigError: it begins after the last epoch.
    """
    if options.from_epoch > epochs:
        raise ConfigError(
            f"adversarial.from_epoch is {options.from_epoch} and training has {epochs} epochs, so it would never "
            "begin: let it start earlier, or set adversarial to null"
        )
    reached = ramp(epochs, options.from_epoch, options.ramp_epochs)
    if reached < 1:
        logger.warning(
            "adversarial.weight reaches only %.0f %% of %g: from_epoch %d and %d ramp_epochs do not fit in %d epochs",
            100 * reached, options.weight, options.from_epoch, options.ramp_epochs, epochs,
        )  # fmt: skip


@contextmanager
def _fixed(module: nn.Module) -> Iterator[None]:
    """Inside, what is computed leads gradients through the module but none to it."""
    module.requires_grad_(False)
    try:
        yield
    finally:
        module.requires_grad_(True)
