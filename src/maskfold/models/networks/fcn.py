"""Fully convolutional networks: a classifier that became a network for masks."""

from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from maskfold.models.networks.fixed_encoders import vgg_encoder


class FCN32s(nn.Module):
    """FCN-32s (Long, Shelhamer and Darrell, CVPR 2015): VGG's classifier at every place, scores enlarged 32 times.

    The fully connected layers fc6 and fc7 are convolutions, 7x7 and 1x1; a file of VGG that holds them brings their
    weights too (weights by name are the encoder's only). Transposed convolutions enlarge the scores; they begin as
    bilinear interpolation and are trained. 136,152,917 parameters with VGG16 and 21 classes, as published.

    Differences: fc6 is padded by 3, where the publication pads the image by 100 pixels and crops the scores. All
    stages are trained at once: the layers that score skipped maps begin as zero, so the start is that of FCN-32s.

    Args:
        encoder_name: a VGG.
        encoder_weights: published weights by name; None: random.
        in_channels: K of images (N, K, H, W), H and W multiples of 32.
        classes: C of the logits (N, C, H, W).
        width: channels of fc6 and fc7.
        dropout: probability with which a value of fc6 or fc7 is zero in training.

    Raises:
        ModelError: another encoder than a VGG.
    """

    skips: ClassVar[int] = 0

    def __init__(
        self,
        encoder_name: str = "vgg16",
        encoder_weights: str | None = "imagenet",
        in_channels: int = 3,
        classes: int = 1,
        width: int = 4096,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        self.encoder = vgg_encoder(type(self).__name__.lower(), encoder_name, encoder_weights, in_channels)
        widths = self.encoder.out_channels
        self.fc6 = nn.Conv2d(widths[5], width, kernel_size=7, padding=3)
        self.fc7 = nn.Conv2d(width, width, kernel_size=1)
        self.dropout = nn.Dropout(dropout)
        self.score = nn.Conv2d(width, classes, kernel_size=1)
        # Pooled to strides 16 and 8, the fourth and third stages have the channels that they had before.
        self.skip_scores = nn.ModuleList(nn.Conv2d(widths[level], classes, 1) for level in self._levels())
        self.doublings = nn.ModuleList(_enlarge(classes, 2) for _ in self._levels())
        self.enlarge = _enlarge(classes, 32 // 2**self.skips)
        for layer in (self.fc6, self.fc7):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
        for parameter in self.skip_scores.parameters():
            nn.init.zeros_(parameter)

    def forward(self, images: Tensor) -> Tensor:
        features = self.encoder(images)
        found = self.dropout(F.relu(self.fc6(features[-1])))
        found = self.score(self.dropout(F.relu(self.fc7(found))))
        for level, score, double in zip(self._levels(), self.skip_scores, self.doublings, strict=True):
            found = double(found) + score(F.max_pool2d(features[level], 2))
        return self.enlarge(found)

    @property
    def classifier_layers(self) -> dict[str, nn.Conv2d]:
        """The convolutions that were a classifier's fully connected layers, by torchvision's and timm's names."""
        torchvision = {"classifier.0": self.fc6, "classifier.3": self.fc7}
        return {**torchvision, "pre_logits.fc1": self.fc6, "pre_logits.fc2": self.fc7}

    def _levels(self) -> range:
        """Which of the encoder's maps are skipped to the scores, coarsest first."""
        return range(3, 3 - self.skips, -1)


class FCN16s(FCN32s):
    """FCN-16s (Long, Shelhamer and Darrell, CVPR 2015): FCN-32s that adds scores of the fourth pooling, at stride 16.

    Arguments, errors and differences as `FCN32s`.
    """

    skips = 1


class FCN8s(FCN32s):
    """FCN-8s (Long, Shelhamer and Darrell, CVPR 2015): FCN-16s that adds scores of the third pooling, at stride 8.

    134,489,759 parameters with VGG16 and 21 classes, as published. Arguments, errors and differences as `FCN32s`.
    """

    skips = 2


def _enlarge(classes: int, factor: int) -> nn.ConvTranspose2d:
    """A transposed convolution without bias that begins as bilinear interpolation, class by class."""
    layer = nn.ConvTranspose2d(classes, classes, 2 * factor, stride=factor, padding=factor // 2, bias=False)
    distance = (torch.arange(2 * factor) + 0.5 - factor).abs() / factor
    nn.init.zeros_(layer.weight)
    with torch.no_grad():
        layer.weight[range(classes), range(classes)] = torch.outer(1 - distance, 1 - distance)
    return layer
