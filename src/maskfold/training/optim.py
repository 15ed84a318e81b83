"""Parameter groups, the optimiser, and the learning rate as a pure function of the step."""

import math
from collections.abc import Callable, Iterable

import torch
from timm.optim import create_optimizer_v2
from torch import nn

from maskfold.config import OptimConfig, ScheduleConfig
from maskfold.models import SegmentationModel
from maskfold.training.errors import TrainingError


def build_optimizer(model: SegmentationModel, config: OptimConfig) -> torch.optim.Optimizer:
    """Any timm optimiser by name, with the encoder's own rate and no decay on biases and norms.

    Raises:
        TrainingError: unknown name, or options the optimiser does not take.
    """
    groups = [
        *_decay_groups(model.encoder_parameters(), config, config.lr * config.encoder_lr_factor),
        *_decay_groups(model.other_parameters(), config, config.lr),
    ]
    try:
        optimizer = create_optimizer_v2(
            groups, opt=config.name, lr=config.lr, weight_decay=config.weight_decay, **config.options
        )
    except (ValueError, AssertionError, TypeError, RuntimeError) as error:
        raise TrainingError(
            f"optim.name '{config.name}' with optim.options {config.options} cannot be built ({error}): "
            "timm.optim.list_optimizers() lists the names"
        ) from None
    for group in optimizer.param_groups:
        group["initial_lr"] = group["lr"]
    return optimizer


def _decay_groups(parameters: Iterable[nn.Parameter], config: OptimConfig, lr: float) -> list[dict]:
    # Biases and the scales of norms have one dimension; decaying them only shifts activations.
    parameters = list(parameters)
    matrices = [p for p in parameters if p.ndim > 1]
    vectors = [p for p in parameters if p.ndim <= 1]
    groups = [(matrices, config.weight_decay), (vectors, 0.0)]
    return [{"params": params, "lr": lr, "weight_decay": decay} for params, decay in groups if params]


def set_learning_rate(optimizer: torch.optim.Optimizer, factor: float) -> None:
    """Set every group's rate to its peak times ``factor``."""
    for group in optimizer.param_groups:
        group["lr"] = group["initial_lr"] * factor


def cycle_ends(epochs: int, cycles: int) -> list[int]:
    """The (1-based) epochs at whose end a cycle ends."""
    return [round(epochs * (cycle + 1) / cycles) for cycle in range(cycles)]


def lr_schedule(config: ScheduleConfig, *, ends: list[int]) -> Callable[[int], float]:
    """The factor on the peak rate at a step counted from 0, for cycles that end at the steps ``ends``.

    ``cosine`` and ``snapshot`` (Huang et al., 2017, arXiv 1704.00109; Loshchilov & Hutter, 2017, arXiv
    1608.03983) warm up linearly and fall as half a cosine; ``one_cycle`` (Smith, arXiv 1803.09820) rises as
    half a cosine too; ``constant`` only warms up. All but ``constant`` end at ``final_factor``.
    """

    def factor(step: int) -> float:
        start = max((end for end in ends if end <= step), default=0)
        end = min((end for end in ends if end > step), default=ends[-1])
        progress = min((step - start) / max(end - start - 1, 1), 1.0)
        return _factor(config, progress)

    return factor


def _factor(config: ScheduleConfig, progress: float) -> float:
    low = config.final_factor
    if progress < config.warmup:
        rise = progress / config.warmup
        shape = rise if config.name != "one_cycle" else (1 - math.cos(math.pi * rise)) / 2
        return low + (1 - low) * shape
    if config.name == "constant":
        return 1.0
    fall = (progress - config.warmup) / (1 - config.warmup) if config.warmup < 1 else 1.0
    return low + (1 - low) * (1 + math.cos(math.pi * fall)) / 2
