"""Parameter groups and the optimiser."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch

# timm is marked as typed but does not declare what it exports.
from timm.optim import (
    Lookahead,  # pyright: ignore[reportPrivateImportUsage]
    OptimInfo,  # pyright: ignore[reportPrivateImportUsage]
    create_optimizer_v2,  # pyright: ignore[reportPrivateImportUsage]
    get_optimizer_info,  # pyright: ignore[reportPrivateImportUsage]
)
from torch import nn

from maskfold.config import OptimConfig
from maskfold.errors import TrainingError, first_few
from maskfold.models import SegmentationModel

# timm's names of torch's own optimisers.
FUSED = ("adam", "adamw", "sgd", "momentum")
# Options that say by which kernels an optimiser steps.
KERNELS = ("fused", "foreach")
# timm's arguments for making groups of a whole network, which it ignores where it is given groups.
OF_GROUPS = (
    "filter_bias_and_bn",
    "fallback_list",
    "fallback_no_weight_decay",
    "layer_decay",
    "layer_decay_min_scale",
    "layer_decay_no_opt_scale",
    "param_group_fn",
)


def build_optimizer(model: SegmentationModel, config: OptimConfig) -> torch.optim.Optimizer:
    """Any timm optimiser of first derivatives by name, with the encoder's own rate and no decay on biases and norms.

    Parameters that need no gradient, those of an encoder that is frozen throughout, are left out.

    Raises:
        TrainingError: unknown name, options the optimiser does not take, or one that needs second derivatives.
    """
    # One kernel for all parameters, where the optimiser has it.
    fused = model.other_parameters()[0].is_cuda and config.name.removeprefix("lookahead_") in FUSED
    options: dict[str, Any] = ({"fused": True} if fused else {}) | config.options
    groups = [
        *_decay_groups(model.encoder_parameters(), config, config.lr * config.encoder_lr_factor),
        *_decay_groups(model.other_parameters(), config, config.lr),
    ]
    try:
        second_order = _info_of(config).second_order
        optimizer = create_optimizer_v2(
            groups, opt=config.name, lr=config.lr, weight_decay=config.weight_decay, **options
        )
    except (ValueError, AssertionError, TypeError, RuntimeError) as error:
        raise TrainingError(
            f"optim.name '{config.name}' with optim.options {config.options} cannot be built ({error}): "
            "timm.optim.list_optimizers() lists the names"
        ) from None
    if second_order:
        raise TrainingError(
            f"optim.name is {config.name}, which needs second derivatives of the loss, and training makes first ones "
            "only: choose another, such as adamw"
        )
    for group in optimizer.param_groups:
        group["initial_lr"] = group["lr"]
    return optimizer


def _info_of(config: OptimConfig) -> OptimInfo:
    """What timm says of the optimiser; a ValueError for another name, and for options that it would silently drop."""
    info = get_optimizer_info(config.name.lower().removeprefix("lookahead_"))
    lacking = {"eps": not info.has_eps, "betas": not info.has_betas, "momentum": not info.has_momentum}
    dropped = [key for key in config.options if key in OF_GROUPS or lacking.get(key)]
    if dropped:
        raise ValueError(f"it does not take {first_few(dropped)}")
    return info


def _decay_groups(parameters: Iterable[nn.Parameter], config: OptimConfig, lr: float) -> list[dict]:
    # Biases and the scales of norms have one dimension; decaying them only shifts activations.
    parameters = [p for p in parameters if p.requires_grad]
    matrices = [p for p in parameters if p.ndim > 1]
    vectors = [p for p in parameters if p.ndim <= 1]
    groups = [(matrices, config.weight_decay), (vectors, 0.0)]
    return [{"params": params, "lr": lr, "weight_decay": decay} for params, decay in groups if params]


def restore_optimizer(optimizer: torch.optim.Optimizer, state: Mapping[str, Any]) -> None:
    """Load an optimiser's ``state``, but not its kernels: those that this device has may be others.

    Raises:
        ValueError: the state of other parameters.
    """
    groups = [
        saved | {name: own[name] for name in KERNELS if name in own}
        for saved, own in zip(state["param_groups"], optimizer.param_groups, strict=True)
    ]
    optimizer.load_state_dict({**state, "param_groups": groups})


@contextmanager
def slow_weights(optimizer: torch.optim.Optimizer) -> Iterator[None]:
    """Inside, the parameters of a Lookahead optimiser are its slow weights; afterwards they are the fast ones again.

    The slow weights are what Lookahead trains (Zhang et al., 2019, arXiv 1907.08610); the fast ones explore ahead of
    them for some steps. timm's own ``sync_lookahead`` skips parameters whose gradient was cleared. Other optimisers
    have one set of weights, and nothing happens.
    """
    inner = getattr(optimizer, "optimizer", optimizer)  # accelerate wraps it
    parameters = [p for group in inner.param_groups for p in group["params"]] if isinstance(inner, Lookahead) else []
    state = inner.state_dict()["state"] if parameters else {}
    slow = {place: found["lookahead_slow_buff"] for place, found in state.items() if "lookahead_slow_buff" in found}
    fast = {place: parameters[place].detach().clone() for place in slow}
    _write(parameters, slow)
    try:
        yield
    finally:
        _write(parameters, fast)


@torch.no_grad()
def _write(parameters: Sequence[nn.Parameter], values: Mapping[int, torch.Tensor]) -> None:
    for place, value in values.items():
        parameters[place].copy_(value)


def set_learning_rate(optimizer: torch.optim.Optimizer, factor: float) -> None:
    """Set every group's rate to its peak times ``factor``."""
    for group in optimizer.param_groups:
        group["lr"] = group["initial_lr"] * factor
