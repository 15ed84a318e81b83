"""DeepLab v1: holes in the filters instead of two poolings."""

from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from maskfold.models.networks.fixed_encoders import vgg_encoder

FULL_POOLINGS = 3  # those that still halve the map, so the scores are at stride 2**3


class DeepLabV1(nn.Module):
    """DeepLab-LargeFOV (Chen et al., ICLR 2015): VGG at stride 8, its classifier with a wide, dilated fc6.

    The last two poolings keep the size, and the convolutions behind them are dilated instead: 2 in the fifth stage,
    12 in fc6, a 3x3 convolution. All poolings are 3x3, and a mean over 3x3 follows the last, as in the published
    network. 20.5 million parameters with VGG16 and 21 classes, as published.

    Differences: the logits are enlarged bilinearly and compared with masks of full size, where the publication reduces
    the masks; fc6 and fc7 begin at random, not with a part of the classifier's weights; the fully connected CRF is a
    decoding step of its own.

    Args:
        encoder_name: a VGG.
        encoder_weights: published weights by name; None: random.
        in_channels: K of images (N, K, H, W), H and W multiples of 8.
        classes: C of the logits (N, C, H, W).
        width: channels of fc6 and fc7.
        dilation: of fc6.
        dropout: probability with which a value of fc6 or fc7 is zero in training.

    Raises:
        ModelError: another encoder than a VGG.
    """

    def __init__(
        self,
        encoder_name: str = "vgg16",
        encoder_weights: str | None = "imagenet",
        in_channels: int = 3,
        classes: int = 1,
        width: int = 1024,
        dilation: int = 12,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        self.encoder = vgg_encoder("deeplabv1", encoder_name, encoder_weights, in_channels)
        _dilate(self.encoder)
        self.decoder = nn.Sequential(
            nn.AvgPool2d(3, stride=1, padding=1),
            nn.Conv2d(self.encoder.out_channels[-1], width, 3, padding=dilation, dilation=dilation),
            nn.ReLU(inplace=True),
            nn.Dropout(dropout),
            nn.Conv2d(width, width, 1),
            nn.ReLU(inplace=True),
            nn.Dropout(dropout),
        )
        self.segmentation_head = nn.Conv2d(width, classes, 1)
        for module in self.decoder:
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")

    def forward(self, images: Tensor) -> Tensor:
        found = self.segmentation_head(self.decoder(self.encoder(images)[-1]))
        return F.interpolate(found, size=images.shape[-2:], mode="bilinear", align_corners=False)


def _dilate(encoder: Any) -> None:
    """Poolings of 3x3, of which the first three halve the map; dilation behind the fourth."""
    poolings = 0
    for layer in encoder.features:
        if isinstance(layer, nn.MaxPool2d):
            poolings += 1
            layer.kernel_size, layer.padding, layer.stride = 3, 1, 2 if poolings <= FULL_POOLINGS else 1
        elif isinstance(layer, nn.Conv2d) and poolings > FULL_POOLINGS:
            layer.dilation = layer.padding = (2, 2)
    encoder._output_stride = 2**FULL_POOLINGS
