"""DeepLab v2: the same map seen in four widths."""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from segmentation_models_pytorch.encoders import get_encoder
from torch import Tensor, nn

STRIDE = 8


class DeepLabV2(nn.Module):
    """DeepLab v2 (Chen et al., PAMI 2018): atrous spatial pyramid pooling on a dilated ResNet.

    Four 3x3 convolutions of different dilation score the encoder's last map, and their scores are added: nothing else
    is learned. 44,048,532 parameters with ResNet-101 and 21 classes: its encoder's and 4 (9 · 2048 · 21 + 21).

    Differences: one scale of the image in training, where the publication takes the maximum over three; views of
    other scales are for prediction. The CRF is a decoding step of its own.

    Args:
        encoder_name: any that smp or timm can dilate to stride 8, ``resnet101`` in the paper.
        encoder_weights: published weights by name; None: random.
        in_channels: K of images (N, K, H, W), H and W multiples of 8.
        classes: C of the logits (N, C, H, W).
        rates: dilation of each convolution.
        kwargs: further arguments of a timm encoder.

    Raises:
        ValueError: an encoder that cannot be dilated.
    """

    def __init__(
        self,
        encoder_name: str = "resnet101",
        encoder_weights: str | None = "imagenet",
        in_channels: int = 3,
        classes: int = 1,
        rates: Sequence[int] = (6, 12, 18, 24),
        **kwargs: Any,
    ) -> None:
        super().__init__()
        self.encoder: Any = get_encoder(
            encoder_name, in_channels=in_channels, weights=encoder_weights, output_stride=STRIDE, **kwargs
        )
        self.scores = nn.ModuleList(
            nn.Conv2d(self.encoder.out_channels[-1], classes, 3, padding=rate, dilation=rate) for rate in rates
        )

    def forward(self, images: Tensor) -> Tensor:
        deepest = self.encoder(images)[-1]
        found = torch.stack([score(deepest) for score in self.scores]).sum(0)
        return F.interpolate(found, size=images.shape[-2:], mode="bilinear", align_corners=False)
