"""The first U-Net, as its paper draws it."""

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from maskfold.models.encoders import OWN_ENCODER
from maskfold.models.networks.fixed_encoders import require_encoder


class UNetOriginal(nn.Module):
    """U-Net (Ronneberger, Fischer and Brox, MICCAI 2015): five levels of two convolutions, joined level by level.

    It brings its own encoder, for which nobody publishes weights, and has no norm: the weights begin as the paper's
    (He et al., 2015), and there is dropout at the end of the contracting path. 31,030,658 parameters with one channel,
    two classes and the paper's width, as published.

    Difference: the convolutions are padded, so the logits have the image's size and no map is cropped.

    Args:
        encoder_name: ``own``.
        encoder_weights: None, since there are none.
        in_channels: K of images (N, K, H, W), H and W multiples of 16.
        classes: C of the logits (N, C, H, W).
        width: channels of the first level; each further one has twice as many.
        dropout: probability with which a value of the two deepest levels is zero in training.

    Raises:
        ModelError: another encoder than its own.
    """

    def __init__(
        self,
        encoder_name: str = OWN_ENCODER,
        encoder_weights: str | None = None,
        in_channels: int = 3,
        classes: int = 1,
        width: int = 64,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        require_encoder("unet_original", encoder_name, [OWN_ENCODER])
        self.encoder = ContractingPath(in_channels, [width * 2**level for level in range(5)], dropout)
        inwards = self.encoder.out_channels[::-1]
        self.up = nn.ModuleList(nn.ConvTranspose2d(deep, flat, 2, stride=2) for deep, flat in pairwise(inwards))
        self.decoder = nn.ModuleList(_two_convolutions(2 * flat, flat) for flat in inwards[1:])
        self.segmentation_head = nn.Conv2d(width, classes, kernel_size=1)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")

    def forward(self, images: Tensor) -> Tensor:
        *skips, found = self.encoder(images)
        for up, convolve, skip in zip(self.up, self.decoder, reversed(skips), strict=True):
            found = convolve(torch.cat([skip, up(found)], dim=1))
        return self.segmentation_head(found)


class ContractingPath(nn.Module):
    """The left side of the U: images (N, K, H, W) -> a map for each level, at strides 1, 2, 4, 8 and 16."""

    def __init__(self, in_channels: int, widths: list[int], dropout: float) -> None:
        super().__init__()
        self.out_channels = widths
        self.output_stride = 2 ** (len(widths) - 1)
        self.levels = nn.ModuleList(_two_convolutions(*pair) for pair in pairwise([in_channels, *widths]))
        self.dropout = nn.Dropout(dropout)

    def forward(self, images: Tensor) -> list[Tensor]:
        maps: list[Tensor] = []
        for number, level in enumerate(self.levels):
            found = level(F.max_pool2d(maps[-1], 2) if maps else images)
            maps.append(self.dropout(found) if number >= len(self.levels) - 2 else found)
        return maps


def _two_convolutions(in_channels: int, out_channels: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, 3, padding=1),
        nn.ReLU(inplace=True),
        nn.Conv2d(out_channels, out_channels, 3, padding=1),
        nn.ReLU(inplace=True),
    )
