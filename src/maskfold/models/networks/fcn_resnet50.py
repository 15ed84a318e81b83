"""torchvision's FCN on a dilated ResNet-50."""

from typing import Any

import torch.nn.functional as F
from segmentation_models_pytorch.encoders import get_encoder
from segmentation_models_pytorch.encoders.resnet import ResNetEncoder
from torch import Tensor, nn
from torchvision.models.resnet import Bottleneck
from torchvision.models.segmentation.fcn import FCNHead

from maskfold.models.networks.fixed_encoders import require_encoder


class FCNResNet50(nn.Module):
    """torchvision's ``fcn_resnet50`` without its auxiliary head: the baseline of many tutorials.

    A ResNet-50 whose last two stages are dilated, torchvision's ``FCNHead``, bilinear enlargement by 8. 32,946,240
    parameters plus 513 for each class.

    Args:
        encoder_name: ``resnet50``.
        encoder_weights: published weights by name; None: random.
        in_channels: K of images (N, K, H, W), H and W multiples of 8.
        classes: C of the logits (N, C, H, W).

    Raises:
        ModelError: another encoder.
    """

    def __init__(
        self,
        encoder_name: str = "resnet50",
        encoder_weights: str | None = "imagenet",
        in_channels: int = 3,
        classes: int = 1,
    ) -> None:
        super().__init__()
        require_encoder("fcn_resnet50", encoder_name, ["resnet50"])
        source: Any = get_encoder(encoder_name, in_channels=in_channels, weights=encoder_weights)
        self.encoder = _dilated(source)
        self.segmentation_head = FCNHead(source.out_channels[-1], classes)

    def forward(self, images: Tensor) -> Tensor:
        found = self.segmentation_head(self.encoder(images)[-1])
        return F.interpolate(found, size=images.shape[-2:], mode="bilinear", align_corners=False)


def _dilated(source: Any) -> Any:
    """The same ResNet-50 at stride 8, dilated as torchvision does it: smp dilates each stage's first block more."""
    encoder: Any = ResNetEncoder(
        out_channels=[3, *source.out_channels[1:]],
        output_stride=8,
        block=Bottleneck,
        layers=[3, 4, 6, 3],
        replace_stride_with_dilation=[False, True, True],
    )
    encoder.set_in_channels(source.out_channels[0])
    encoder.load_state_dict(source.state_dict())
    return encoder
