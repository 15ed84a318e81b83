"""RefineNet: four cascades, each refines what the coarser one found by a finer map of the encoder."""

from typing import Any

import torch.nn.functional as F
from segmentation_models_pytorch.encoders import get_encoder
from torch import Tensor, nn


class RefineNet(nn.Module):
    """RefineNet with four cascades (Lin, Milan, Shen and Reid, CVPR 2017) on an encoder's maps at strides 32 to 4.

    The layers are those of the published models: residual convolution units adapt the encoder's map, it is fused with
    what the coarser cascade found, chained residual pooling of four steps looks further, three units follow. No norm
    in the decoder. 118.05 million parameters with ResNet-101 and 21 classes, as published.

    Args:
        encoder_name: any of smp's or timm's with maps at strides 4, 8, 16 and 32; ``resnet101`` in the paper.
        encoder_weights: published weights by name; None: random.
        in_channels: K of images (N, K, H, W), H and W multiples of 32.
        classes: C of the logits (N, C, H, W).
        width: channels of the cascades; the coarsest has twice as many.
        dropout: probability with which a value of the two deepest maps, or of the last, is zero in training.
        kwargs: further arguments of a timm encoder.
    """

    def __init__(
        self,
        encoder_name: str = "resnet101",
        encoder_weights: str | None = "imagenet",
        in_channels: int = 3,
        classes: int = 1,
        width: int = 256,
        dropout: float = 0.5,
        **kwargs: Any,
    ) -> None:
        super().__init__()
        self.encoder: Any = get_encoder(encoder_name, in_channels=in_channels, weights=encoder_weights, **kwargs)
        fourth, third, second, first = self.encoder.out_channels[-4:]
        self.cascades = nn.ModuleList(
            [
                Cascade(first, 2 * width, out=width, fuses=False),
                Cascade(second, width, out=width),
                Cascade(third, width, out=width),
                Cascade(fourth, width, out=None),
            ]
        )
        self.dropout = nn.Dropout(dropout)
        self.segmentation_head = nn.Conv2d(width, classes, 3, padding=1)

    def forward(self, images: Tensor) -> Tensor:
        *_, fourth, third, second, first = self.encoder(images)
        found = None
        for cascade, feature in zip(
            self.cascades, (self.dropout(first), self.dropout(second), third, fourth), strict=True
        ):
            found = cascade(feature, found)
        found = self.segmentation_head(self.dropout(found))
        return F.interpolate(found, size=images.shape[-2:], mode="bilinear", align_corners=False)


class Cascade(nn.Module):
    """A RefineNet block: adapts a map of the encoder, adds what the coarser block found, pools and convolves.

    Args:
        in_channels: of the encoder's map.
        width: of the block.
        out: channels of what it returns; None: ``width``, without a convolution of its own.
        fuses: it is given what a coarser block found.
    """

    def __init__(self, in_channels: int, width: int, *, out: int | None, fuses: bool = True) -> None:
        super().__init__()
        self.reduce = _convolution(in_channels, width)
        self.adapt = nn.Sequential(*(ResidualUnit(width) for _ in range(2)))
        self.fuse = _convolution(width, width) if fuses else nn.Identity()
        self.pool = ChainedResidualPooling(width)
        self.refine = nn.Sequential(*(ResidualUnit(width) for _ in range(3)))
        self.hand_on = nn.Identity() if out is None else _convolution(width, out)

    def forward(self, feature: Tensor, coarser: Tensor | None) -> Tensor:
        found = self.fuse(self.adapt(self.reduce(feature)))
        if coarser is not None:
            found = found + F.interpolate(coarser, size=found.shape[-2:], mode="bilinear", align_corners=False)
        return self.hand_on(self.refine(self.pool(F.relu(found))))


class ResidualUnit(nn.Module):
    """RCU: two convolutions, a ReLU before each, added to what they were given."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = _convolution(width, width, bias=True)
        self.second = _convolution(width, width)

    def forward(self, maps: Tensor) -> Tensor:
        return maps + self.second(F.relu(self.first(F.relu(maps))))


class ChainedResidualPooling(nn.Module):
    """CRP: four times a maximum over 5x5 and a convolution, each of what the one before made; all are added."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.convolutions = nn.ModuleList(_convolution(width, width) for _ in range(4))

    def forward(self, maps: Tensor) -> Tensor:
        found = pooled = maps
        for convolve in self.convolutions:
            pooled = convolve(F.max_pool2d(pooled, 5, stride=1, padding=2))
            found = found + pooled
        return found


def _convolution(in_channels: int, out_channels: int, *, bias: bool = False) -> nn.Conv2d:
    return nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=bias)
