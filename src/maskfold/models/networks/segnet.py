"""SegNet: a decoder that puts values back where the encoder's poolings found them."""

from collections.abc import Iterator
from itertools import groupby, pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from maskfold.models.networks.fixed_encoders import vgg_encoder


class SegNet(nn.Module):
    """SegNet (Badrinarayanan, Kendall and Cipolla, PAMI 2017): a VGG and its mirror image, joined by pooling indices.

    The decoder has a convolution for each of the encoder's, in the reverse order. Each of its stages begins by
    unpooling: every value goes to the pixel that was the largest of its 2x2, the other three are zero. Instead of maps,
    as in a U-Net, only these places skip the bottleneck. The last convolution is plain, without norm and ReLU.
    29.46 million parameters with VGG16-BN and 21 classes, as published.

    Args:
        encoder_name: a VGG; ``vgg16_bn`` is the paper's.
        encoder_weights: published weights by name; None: random.
        in_channels: K of images (N, K, H, W), H and W multiples of 32.
        classes: C of the logits (N, C, H, W).

    Raises:
        ModelError: another encoder than a VGG.
    """

    def __init__(
        self,
        encoder_name: str = "vgg16_bn",
        encoder_weights: str | None = "imagenet",
        in_channels: int = 3,
        classes: int = 1,
    ) -> None:
        super().__init__()
        self.encoder = vgg_encoder("segnet", encoder_name, encoder_weights, in_channels, usual="vgg16_bn")
        stages = list(_stage_widths(self.encoder.features))
        self.decoder = nn.ModuleList(
            [
                *(_mirrored([before[-1], *widths]) for before, widths in reversed(list(pairwise(stages)))),
                _mirrored(stages[0]),  # its last convolution makes the logits
            ]
        )
        self.segmentation_head = nn.Conv2d(stages[0][0], classes, kernel_size=3, padding=1)

    def forward(self, images: Tensor) -> Tensor:
        *features, found = self.encoder(images)
        for stage, feature in zip(self.decoder, reversed(features), strict=True):
            _, indices = F.max_pool2d(feature, 2, return_indices=True)
            found = stage(unpool(found, indices))
        return self.segmentation_head(found)


def unpool(values: Tensor, indices: Tensor) -> Tensor:
    """`torch.nn.functional.max_unpool2d` for poolings of 2, by comparing places: the same on every device, and in ONNX.

    Args:
        values: (N, C, H, W).
        indices: (N, C, H, W) int64, places in the flat (2H, 2W) map, as ``max_pool2d`` returns them.

    Returns: (N, C, 2H, 2W), zero but for one value in each 2x2.
    """
    height, width = 2 * values.shape[-2], 2 * values.shape[-1]
    places = torch.arange(height * width, device=indices.device).view(height, width)
    return torch.where(_doubled(indices) == places, _doubled(values), 0)


def _doubled(maps: Tensor) -> Tensor:
    return maps.repeat_interleave(2, -2).repeat_interleave(2, -1)


def _stage_widths(layers: nn.Sequential) -> Iterator[list[int]]:
    """Channels that each convolution of a stage makes, stage by stage."""
    for pools, stage in groupby(layers, lambda layer: isinstance(layer, nn.MaxPool2d)):
        if not pools:
            yield [layer.out_channels for layer in stage if isinstance(layer, nn.Conv2d)]


def _mirrored(widths: list[int]) -> nn.Sequential:
    """A stage of the decoder: from the last of ``widths`` back to the first, with norm and ReLU."""
    return nn.Sequential(
        *(
            nn.Sequential(nn.Conv2d(inner, outer, 3, padding=1), nn.BatchNorm2d(outer), nn.ReLU(inplace=True))
            for inner, outer in pairwise(reversed(widths))
        )
    )
