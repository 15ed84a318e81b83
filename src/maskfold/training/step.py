"""What a batch does: the only part of training that knows losses and optimisers."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any, Protocol

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from maskfold.config import Config
from maskfold.losses import MixedLoss
from maskfold.models import SegmentationModel
from maskfold.training.optim import build_optimizer, set_learning_rate, slow_weights


class TrainStep(Protocol):
    """One way of training: its networks, its optimisers, and what it does with a batch.

    Attributes:
        network: the one that is validated and stored in checkpoints.
        modules, optimizers: by name, for the training state; ``network`` is one of the modules.
    """

    network: SegmentationModel
    modules: dict[str, nn.Module]
    optimizers: dict[str, torch.optim.Optimizer]

    def begin_epoch(self, epoch: int) -> None:
        """Set modes and weights of losses for an epoch, counted from 1."""
        ...

    def __call__(self, batch: Mapping[str, Any]) -> dict[str, Tensor]:
        """Learn from a training batch; returns ``loss`` and its terms, scalars on the device."""
        ...

    def settled(self) -> AbstractContextManager[None]:
        """Inside, ``network`` has the weights that are to be validated and stored, wherever the optimiser is."""
        ...


class Supervised:
    """One network, one optimiser, one loss: forward, backward and, every ``accumulate`` batches, an optimiser step."""

    def __init__(
        self,
        network: SegmentationModel,
        loss: MixedLoss,
        config: Config,
        accelerator: Accelerator,
        *,
        lr_factor: Callable[[], float],
        on_step: Callable[[], None],
    ) -> None:
        """See the class.

        Args:
            network: on the device.
            lr_factor: factor on the peak learning rate of the coming step.
            on_step: called after each optimiser step.
        """
        self.network = network
        self.config = config
        self.accelerator = accelerator
        self.loss = loss.to(accelerator.device)
        self.lr_factor, self.on_step = lr_factor, on_step
        if config.optim.freeze_encoder_epochs == "all":
            network.freeze_encoder(True)  # before the optimiser is made, which then keeps no state for it
        self._wrapped, optimizer = accelerator.prepare(network, build_optimizer(network, config.optim))
        self.modules: dict[str, nn.Module] = {"network": network}
        self.optimizers = {"network": optimizer}

    def begin_epoch(self, epoch: int) -> None:
        self.loss.set_epoch(epoch)
        self._wrapped.train()
        self.network.freeze_encoder(self.config.optim.encoder_frozen(epoch))

    def __call__(self, batch: Mapping[str, Any]) -> dict[str, Tensor]:
        accelerator, optimizer = self.accelerator, self.optimizers["network"]
        with accelerator.accumulate(self._wrapped):
            set_learning_rate(optimizer, self.lr_factor())
            images, targets, valid = self._to_device(batch)
            loss, terms = self.loss(self._wrapped(images).named(), targets, valid)
            accelerator.backward(loss)
            if accelerator.sync_gradients and self.config.optim.clip_norm is not None:
                accelerator.clip_grad_norm_(self._wrapped.parameters(), self.config.optim.clip_norm)
            optimizer.step()
            optimizer.zero_grad()
        if accelerator.sync_gradients:
            self.on_step()
        return {"loss": loss.detach(), **terms}

    def settled(self) -> AbstractContextManager[None]:
        return slow_weights(self.optimizers["network"])

    def _to_device(self, batch: Mapping[str, Any]) -> tuple[Tensor, dict[str, Tensor], Tensor]:
        device = self.accelerator.device
        layout = torch.channels_last if self.config.train.channels_last else torch.preserve_format
        images = batch["image"].to(device, non_blocking=True, memory_format=layout)
        targets = {name: target.to(device, non_blocking=True) for name, target in batch["targets"].items()}
        return images, targets, batch["valid"].to(device, non_blocking=True)
