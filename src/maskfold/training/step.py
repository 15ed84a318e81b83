"""What a batch does: the only part of training that knows losses and optimisers."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol, cast

import torch
from accelerate import Accelerator
from accelerate.optimizer import AcceleratedOptimizer
from torch import Tensor, nn

from maskfold.config import Config
from maskfold.labels import LabelSpec
from maskfold.losses import MixedLoss
from maskfold.models import Outputs, SegmentationModel
from maskfold.training.optim import build_optimizer, set_learning_rate, slow_weights

# What batches hold for networks to look at.
IMAGES = ("image", "weak", "strong")


class TrainStep(Protocol):
    """One way of training: its networks, its optimisers, and what it does with a batch.

    Attributes:
        network: the one that is validated and stored in checkpoints.
        loss: of its outputs, with the weights of the present epoch.
        modules, optimizers: by name, for the training state; ``network`` is one of the modules.
    """

    network: SegmentationModel
    loss: MixedLoss
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


@dataclass(frozen=True)
class Setup:
    """What every way of training is made of.

    Attributes:
        network: on the device.
        loss: of its outputs.
        config: the run's.
        accelerator: of this process.
        labels: the task decides what probabilities and truths are.
        lr_factor: factor on the peak learning rate of the coming step.
        on_step: called after each optimiser step.
    """

    network: SegmentationModel
    loss: MixedLoss
    config: Config
    accelerator: Accelerator
    labels: LabelSpec
    lr_factor: Callable[[], float]
    on_step: Callable[[], None]


class Supervised:
    """One network, one loss: forward, backward and, every ``accumulate`` batches, an optimiser step.

    A way of training that adds to it overrides `learn`, and `begin_epoch` where its further networks do not learn in
    every epoch: `maskfold.training.adversarial`.

    Attributes:
        learning: names of the networks that learn in the present epoch.
        wrapped: networks by name, as accelerate made them for this precision and these processes.
    """

    def __init__(self, setup: Setup) -> None:
        self.network, self.config, self.accelerator = setup.network, setup.config, setup.accelerator
        self.labels = setup.labels
        self.loss: MixedLoss = setup.loss.to(setup.accelerator.device)
        self.lr_factor, self.on_step = setup.lr_factor, setup.on_step
        self.modules: dict[str, nn.Module] = {}
        self.optimizers: dict[str, torch.optim.Optimizer] = {}
        self.learning: tuple[str, ...] = ("network",)
        self.wrapped: dict[str, nn.Module] = {}
        if self.config.optim.freeze_encoder_epochs == "all":
            self.network.freeze_encoder(True)  # before the optimiser is made, which then keeps no state for it
        self.add("network", self.network, build_optimizer(self.network, self.config.optim))

    def begin_epoch(self, epoch: int) -> None:
        self.loss.set_epoch(epoch)
        for module in self.wrapped.values():
            module.train()
        self.network.freeze_encoder(self.config.optim.encoder_frozen(epoch))
        if self.config.optim.freeze_statistics_epochs and self.config.optim.statistics_frozen(epoch):
            self.network.freeze_statistics()

    def __call__(self, batch: Mapping[str, Any]) -> dict[str, Tensor]:
        accelerator = self.accelerator
        with accelerator.accumulate(*(self.wrapped[name] for name in self.learning)):
            for optimizer in self.optimizers.values():
                set_learning_rate(optimizer, self.lr_factor())
            found = self.learn(self._on_device(batch))
            if accelerator.sync_gradients:
                self._step()
        if accelerator.sync_gradients:
            self.on_step()
        return found

    def learn(self, batch: Mapping[str, Any]) -> dict[str, Tensor]:
        """Add the gradients of a batch, on the device, to every network that is ``learning``.

        Returns:
            ``loss`` and its terms, detached.
        """
        _, loss, terms = self.supervise(batch)
        self.accelerator.backward(loss)
        return {"loss": loss.detach(), **terms}

    def supervise(self, batch: Mapping[str, Any]) -> tuple[Outputs, Tensor, dict[str, Tensor]]:
        """The network's outputs for a batch, the loss, and its terms for the log."""
        outputs = self.wrapped["network"](batch["image"])
        return outputs, *self.loss(outputs.named(), batch["targets"], batch["valid"])

    def settled(self) -> AbstractContextManager[None]:
        return slow_weights(self.optimizers["network"])

    def add(self, name: str, module: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        """Let a network on the device be trained and saved under a name; `wrapped` holds it as it is to be called."""
        self.wrapped[name], self.optimizers[name] = self.accelerator.prepare(module, optimizer)
        self.modules[name] = module

    def _step(self) -> None:
        """Clip the gradients of every network that learns, let its optimiser follow them, and clear them.

        fp16's scaler is updated after all of the optimisers: accelerate's own ``optimizer.step`` updates it after each
        one, so that the second would divide its gradients by another scale than they were multiplied by.
        """
        scaler, clip_norm = self.accelerator.scaler, self.config.optim.clip_norm
        optimizers = [self.optimizers[name] for name in self.learning]
        if clip_norm is not None:
            self.accelerator.unscale_gradients(optimizers)
            for name in self.learning:
                nn.utils.clip_grad_norm_(self.wrapped[name].parameters(), clip_norm)
        for optimizer in optimizers:
            if scaler is None:
                optimizer.step()
            else:
                scaler.step(cast("AcceleratedOptimizer", optimizer).optimizer)
            optimizer.zero_grad()
        if scaler is not None:
            scaler.update()

    def _on_device(self, batch: Mapping[str, Any]) -> dict[str, Any]:
        """The batch with its tensors on the device, images in the network's layout, masks as losses take them."""
        layout = torch.channels_last if self.config.train.channels_last else torch.preserve_format

        def place(name: str, value: Any) -> Any:
            if isinstance(value, Mapping):
                return {inner: place(inner, each) for inner, each in value.items()}
            if not isinstance(value, Tensor):
                return value
            form = layout if name in IMAGES else torch.preserve_format
            return value.to(self.accelerator.device, non_blocking=True, memory_format=form)

        placed = place("batch", batch)
        mask = self.labels.compared(placed["targets"]["mask"])
        return {**placed, "targets": {**placed["targets"], "mask": mask}}
