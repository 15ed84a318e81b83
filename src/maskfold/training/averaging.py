"""Averages of weights: EMA per step, SWA per epoch; batch-norm statistics recomputed for both."""

from collections.abc import Iterable

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn, update_bn

from maskfold.config import AveragingConfig
from maskfold.models import SegmentationModel


class WeightAverages:
    """The running averages that a config asks for, by name: ``ema``, ``swa``.

    EMA: Polyak & Juditsky (1992), with the decay ``min(decay, (1 + n) / (10 + n))`` of step n, so that short
    runs do not average in the random start. SWA: Izmailov et al. (2018, arXiv 1803.05407), the equal mean
    over the ends of the epochs after ``swa_start``.
    """

    def __init__(self, model: nn.Module, config: AveragingConfig) -> None:
        self.config = config
        self.models: dict[str, AveragedModel] = {}
        if config.ema is not None:
            self.models["ema"] = AveragedModel(model)
        if config.swa_start is not None:
            self.models["swa"] = AveragedModel(model)

    def after_step(self, model: nn.Module) -> None:
        """To be called after every optimiser step."""
        if self.config.ema is not None:
            _follow(self.models["ema"], model, self.config.ema)

    def after_epoch(self, model: nn.Module, progress: float) -> None:
        """To be called after every epoch; ``progress`` is the share of the run that is done."""
        start = self.config.swa_start
        if start is not None and progress > start:
            self.models["swa"].update_parameters(model)

    def begun(self) -> dict[str, AveragedModel]:
        """The averages that hold something already."""
        return {name: model for name, model in self.models.items() if model.n_averaged > 0}

    def state_dict(self) -> dict[str, dict[str, torch.Tensor]]:
        """Tensors of all averages."""
        return {name: model.state_dict() for name, model in self.models.items()}

    def load_state_dict(self, state: dict[str, dict[str, torch.Tensor]]) -> None:
        """Restore what `state_dict` gave."""
        for name, model in self.models.items():
            model.load_state_dict(state[name])


@torch.no_grad()
def recompute_batch_norm(
    model: SegmentationModel, images: Iterable[torch.Tensor], device: torch.device, *, frozen_encoder: bool = False
) -> None:
    """Set the batch-norm statistics of averaged weights to those of ``images`` (training batches).

    The average of two networks' weights has other activations than either: without this step its running
    statistics are wrong (Izmailov et al., section 3.2). An encoder that was frozen to the end, or whose statistics
    were, keeps its own.
    """
    update_bn(images, _AroundFrozenEncoder(model) if frozen_encoder else model, device=device)


class _AroundFrozenEncoder(nn.Module):
    """What `update_bn` sees of a network whose encoder stays as it is: the other modules that have no parts."""

    def __init__(self, model: SegmentationModel) -> None:
        super().__init__()
        encoder = set(model.net.encoder.modules())
        model.net.encoder.eval()
        self.rest = nn.ModuleList(m for m in model.modules() if m not in encoder and not any(m.children()))
        self._run = model.forward

    def forward(self, images: torch.Tensor) -> None:
        self._run(images)


@torch.no_grad()
def _follow(average: AveragedModel, model: nn.Module, most: float) -> None:
    """A step of the EMA, whose decay is ``most`` at most.

    `AveragedModel.update_parameters` sends its count to the GPU and waits for it, at each step.
    """
    step = int(average.n_averaged)  # on the CPU
    decay = min(most, (1 + step) / (10 + step)) if step else 0.0
    get_ema_multi_avg_fn(decay)(list(average.module.parameters()), list(model.parameters()), step)
    for kept, present in zip(average.module.buffers(), model.buffers(), strict=True):
        kept.copy_(present)
    average.n_averaged += 1
