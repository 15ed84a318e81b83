"""Plain vision transformers (ViT, DeiT, BEiT, EVA, DINOv2, DINOv3) as encoders with a pyramid of features."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import timm
import torch.nn.functional as F
from segmentation_models_pytorch.encoders import encoders as SMP_ENCODERS
from segmentation_models_pytorch.encoders._base import EncoderMixin
from segmentation_models_pytorch.encoders.timm_vit import sample_block_indices_uniformly
from torch import Tensor, nn

from maskfold.errors import ModelError

# Under this name smp finds the encoder; with the prefix tu- it would ask timm for the pyramid that there is not.
PREFIX = "pyramid-"


class PyramidVit(nn.Module, EncoderMixin):
    """The features of blocks at even distances, the last one included, normed and resized to strides 4, 8, 16 and 32.

    A transformer without hierarchy has one stride, that of its patches. Decoders of pyramids take it as Li et al.
    (2022, arXiv 2203.16527) show: maps of all strides made from it. Here they are resized bilinearly (averaged where
    they shrink), without parameters of their own: so every tensor of the encoder is a pretrained one, which may be
    frozen; the decoder's first convolutions learn the rest.

    Args:
        name: of the timm model.
        depth: stages, 2 to 5; the last one has stride 2 ** depth.
        options: further arguments of the model.

    Raises:
        ModelError: a depth outside of 2 to 5.
        ValueError: dilation.
    """

    def __init__(self, name: str, *, depth: int = 5, output_stride: int = 32, **options: Any) -> None:
        super().__init__()
        if not 2 <= depth <= 5:
            raise ModelError(f"encoder_depth is {depth}: transformers as encoders have 2 to 5 stages")
        if output_stride != 32:
            raise ValueError(
                "it dilates its encoder, which a plain transformer does not allow: use upernet, fpn, unet or dpt"
            )
        self.name = name
        self.model: Any = timm.create_model(name, **options)
        self.model.reset_classifier(0)
        width = self.model.num_features
        self.strides = [2**stage for stage in range(2, depth + 1)]
        self.taken = sample_block_indices_uniformly(len(self.strides), len(self.model.blocks))
        self.patch = self.model.feature_info[-1]["reduction"]
        self._in_channels, self._depth, self._output_stride = 3, depth, output_stride
        self._out_channels = [3, 0, *([width] * len(self.strides))]

    def forward(self, images: Tensor) -> list[Tensor]:
        """Maps at strides 1 (the images), 2 (without channels), 4, 8 … of images (N, K, H, W)."""
        height, width = images.shape[-2:]
        found = self.model.forward_intermediates(images, indices=self.taken, norm=True, intermediates_only=True)
        none = images.new_empty(images.shape[0], 0, height // 2, width // 2)
        sizes = [(height // stride, width // stride) for stride in self.strides]
        return [images, none, *(_resized(map_, size) for map_, size in zip(found, sizes, strict=True))]


def _resized(features: Tensor, size: tuple[int, int]) -> Tensor:
    if features.shape[-1] >= size[1]:
        return F.adaptive_avg_pool2d(features, size)
    return F.interpolate(features, size=size, mode="bilinear", align_corners=False)


@contextmanager
def pyramid_of(encoder: str, options: dict[str, Any]) -> Iterator[str]:
    """The name by which smp's architectures, called inside, get a `PyramidVit` of ``tu-<model>``."""
    model = encoder.removeprefix("tu-")
    name = PREFIX + model
    SMP_ENCODERS[name] = {"encoder": PyramidVit, "pretrained_settings": {}, "params": {"name": model, **options}}
    try:
        yield name
    finally:
        del SMP_ENCODERS[name]


def size_multiple(encoder: nn.Module, stride: int) -> int:
    """What heights and widths must be multiples of, for an encoder whose last map has this ``stride``.

    Beside the stride it is the side of a transformer's patches, and of the windows into which MaxViT divides its maps.
    """
    windows = [size[0] for module in encoder.modules() if (size := getattr(module, "partition_size", None))]
    multiple = stride * max(windows, default=1)
    return math.lcm(multiple, getattr(encoder, "patch", 1))
