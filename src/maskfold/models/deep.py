"""What is added to a decoder: heads on its coarser stages, hypercolumns, dropout before the mask's head."""

from typing import Any

import torch
import torch.nn.functional as F
from segmentation_models_pytorch.base.initialization import initialize_head
from torch import Tensor, nn

from maskfold.config import ModelConfig
from maskfold.errors import ModelError
from maskfold.models.outputs import Outputs
from maskfold.models.stages import Stages
from maskfold.models.wrapper import SegmentationModel

# Decoders whose last stage alone makes the mask. The others join their stages by themselves.
U_NETS = ("unet", "unetplusplus", "manet", "linknet")


def extend_decoder(model: SegmentationModel, architecture: str, config: ModelConfig, classes: int) -> None:
    """Add to a freshly built network what ``config`` asks for, by hooks: its class and the names of its weights stay.

    Raises:
        ModelError: the architecture cannot have it.
    """
    if config.hypercolumns and architecture not in U_NETS:
        raise ModelError(
            f"model.hypercolumns is for {', '.join(U_NETS)}, not for {architecture}: leave it out, or choose one of "
            "them"
        )
    net = model.net
    if config.deep_supervision or config.hypercolumns:
        stages = Stages(net, architecture, "deep_supervision" if config.deep_supervision else "hypercolumns")
        widths = stages.widths(model)
        if config.hypercolumns:
            Hypercolumns(net, stages, widths)
        if config.deep_supervision:
            DeepSupervision(net, stages, widths, count=config.deep_supervision, classes=classes)
        net.register_forward_hook(stages.release)
    if config.dropout:
        if not isinstance(getattr(net, "segmentation_head", None), nn.Module):
            raise ModelError(
                f"model.dropout comes before the segmentation_head, and {architecture} has none: set it to 0"
            )
        net.decoder_dropout = DropoutBefore(net.segmentation_head, config.dropout)


class DeepSupervision:
    """Heads on the ``count`` finest of a decoder's coarser stages (Lee et al., 2015), while the network trains.

    The network then has further outputs ``deep_1`` (of the stage before the last) to ``deep_n`` (coarser), made by 3x3
    convolutions ``net.deep_heads`` and up-sampled bilinearly to the mask's size: so every loss, hard target and pixel
    that does not count means the same for them. In evaluation the heads are not computed.

    Raises:
        ModelError: more heads than there are coarser stages.
    """

    def __init__(self, net: Any, stages: Stages, widths: list[int], *, count: int, classes: int) -> None:
        if count > len(widths):
            raise ModelError(
                f"model.deep_supervision is {count}: this decoder has {len(widths)} stages that are coarser than the "
                "mask"
            )
        self.stages = stages
        self.names = [f"deep_{number}" for number in range(1, count + 1)]
        net.deep_heads = nn.ModuleList(nn.Conv2d(width, classes, kernel_size=3, padding=1) for width in widths[:count])
        initialize_head(net.deep_heads)
        net.aux_names = self.names
        net.register_forward_hook(self)

    def __call__(self, net: Any, inputs: object, logits: Tensor) -> Outputs | None:
        if not net.training:
            return None
        size = logits.shape[-2:]
        coarse = (head(stage) for head, stage in zip(net.deep_heads, self.stages.found, strict=False))
        deep = [F.interpolate(found, size=size, mode="bilinear", align_corners=False) for found in coarse]
        return Outputs(logits, dict(zip(self.names, deep, strict=True)))


class Hypercolumns:
    """Gives the mask's head all stages of the decoder, up-sampled to the last one's size (Hariharan et al., 2015).

    The first convolution of ``net.segmentation_head`` is replaced by one that takes so many channels: the last
    stage's, then those of the coarser ones, finest first.
    """

    def __init__(self, net: Any, stages: Stages, widths: list[int]) -> None:
        self.stages = stages
        head = net.segmentation_head
        old = head[0]
        head[0] = nn.Conv2d(
            old.in_channels + sum(widths), old.out_channels, kernel_size=old.kernel_size, padding=old.padding
        )
        initialize_head(head)
        head.register_forward_pre_hook(self)

    def __call__(self, head: nn.Module, inputs: tuple[Tensor]) -> Tensor:
        (last,) = inputs
        size = last.shape[-2:]
        coarse = [F.interpolate(found, size=size, mode="bilinear", align_corners=False) for found in self.stages.found]
        return torch.cat([last, *coarse], dim=1)


class DropoutBefore(nn.Dropout2d):
    """Drops whole channels of what a module is given (Tompson et al., CVPR 2015)."""

    def __init__(self, module: nn.Module, p: float) -> None:
        super().__init__(p)
        module.register_forward_pre_hook(self.drop)

    def drop(self, module: nn.Module, inputs: tuple[Tensor]) -> Tensor:
        return self(*inputs)
