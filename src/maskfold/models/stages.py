"""The coarser stages of a decoder, caught by forward hooks while the network runs."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

from maskfold.errors import ModelError
from maskfold.models.wrapper import SegmentationModel


def _blocks(net: Any) -> Iterable[nn.Module]:
    return list(net.decoder.blocks)[-2::-1]


def _segformer(net: Any) -> Iterable[nn.Module]:
    # Its maps are a quarter of the image; stages of 1/2 and 1/4, where an encoder has them, are not coarser.
    depth = len(net.encoder.out_channels) - 1
    return list(net.decoder.mlp_stage)[: depth - 2][::-1]


# architecture -> modules of its decoder that return maps coarser than those which the mask is made of, finest first
STAGES: dict[str, Callable[[Any], Iterable[nn.Module]]] = {
    "unet": _blocks,
    # The nodes on the way to the mask, X^{1,3}, X^{2,2} and so on in the paper.
    "unetplusplus": lambda net: [net.decoder.blocks[f"x_0_{at}"] for at in reversed(range(net.decoder.depth))],
    "manet": _blocks,
    "linknet": _blocks,
    "fpn": lambda net: [net.decoder.p3, net.decoder.p4, net.decoder.p5],
    "pan": lambda net: [getattr(net.decoder, at) for at in ("gau2", "gau3", "fpa") if hasattr(net.decoder, at)],
    "upernet": lambda net: [*list(net.decoder.fpn_conv_blocks)[-2::-1], net.decoder.psp],
    "segformer": _segformer,
    "dpt": lambda net: list(net.decoder.fusion_blocks)[-2::-1],
}


class Stages:
    """What the coarser stages of one network's decoder returned in the forward pass that is under way.

    A copy of the network (a moving average) has a copy of this with it, since hooks are its methods and objects.

    Raises:
        ModelError: the architecture has no such stages; ``key`` is the option of the config that needs them.
    """

    def __init__(self, net: nn.Module, architecture: str, key: str) -> None:
        if architecture not in STAGES:
            raise ModelError(
                f"model.{key} needs a decoder with stages, and {architecture} has none: leave it out, or choose "
                f"{', '.join(STAGES)}"
            )
        self._stages = [_Stage(module) for module in STAGES[architecture](net)]

    @property
    def found(self) -> list[Tensor]:
        """Maps (N, K, h, w), finest first."""
        return [stage.found for stage in self._stages if stage.found is not None]

    def release(self, *_: object) -> None:
        """A hook of the network, and its last: activations are kept no longer than the pass."""
        for stage in self._stages:
            stage.found = None

    def widths(self, model: SegmentationModel) -> list[int]:
        """The number of channels of each stage, finest first, as a pass of ``model`` around the network shows them."""
        model.eval()
        with torch.no_grad():
            model(torch.zeros(1, len(model.mean), 64, 64))
        model.train()
        return [found.shape[1] for found in self.found]


class _Stage:
    """A forward hook that keeps what its module returned."""

    def __init__(self, module: nn.Module) -> None:
        self.found: Tensor | None = None
        module.register_forward_hook(self)

    def __call__(self, module: nn.Module, inputs: object, output: Tensor) -> None:
        self.found = output
