"""Deep supervision: while it trains, a U-Net also predicts from its coarser decoder stages."""

from collections.abc import Iterable, Iterator
from typing import Any, cast

import torch.nn.functional as F
from segmentation_models_pytorch import Unet
from segmentation_models_pytorch.base.initialization import initialize_head
from torch import Tensor, nn

from maskfold.errors import ModelError
from maskfold.models.outputs import Outputs


class DeeplySupervisedUnet(Unet):
    """smp's U-Net with a head on each of the ``deep_supervision`` decoder stages before the last (Lee et al., 2015).

    In training it returns further logits ``deep_1`` (of half the mask's resolution) to ``deep_n`` (of the coarsest),
    made by 3x3 convolutions like the mask's own head and up-sampled bilinearly to the mask's size: so every loss, hard
    target and ignored pixel means the same for them. In evaluation the heads are not computed.

    Raises:
        ModelError: more heads than there are coarser stages.
    """

    def __init__(self, *, deep_supervision: int, classes: int, **options: Any) -> None:
        super().__init__(classes=classes, **options)
        widths = [block.conv2[0].out_channels for block in cast("Iterable[Any]", self.decoder.blocks)]
        if deep_supervision >= len(widths):
            raise ModelError(
                f"model.deep_supervision is {deep_supervision}: this decoder has {len(widths) - 1} stages that are "
                "coarser than the mask"
            )
        self.deep_heads = nn.ModuleList(
            nn.Conv2d(width, classes, kernel_size=3, padding=1) for width in widths[-2 : -2 - deep_supervision : -1]
        )
        initialize_head(self.deep_heads)

    @property
    def aux_names(self) -> list[str]:
        """Names of the outputs beside the mask."""
        return [f"deep_{number}" for number in range(1, len(self.deep_heads) + 1)]

    def forward(self, images: Tensor) -> Outputs:
        if not self.training:
            return Outputs(cast("Tensor", super().forward(images)), {})
        stages = list(self._stages(self.encoder(images)))
        logits = self.segmentation_head(stages[-1])
        coarse = (head(stage) for head, stage in zip(self.deep_heads, stages[-2::-1], strict=False))
        size = logits.shape[-2:]
        aux = [F.interpolate(found, size=size, mode="bilinear", align_corners=False) for found in coarse]
        return Outputs(logits, dict(zip(self.aux_names, aux, strict=True)))

    def _stages(self, features: list[Tensor]) -> Iterator[Tensor]:
        """What each block of the decoder makes, coarsest first: smp's decoder returns the last one only."""
        shapes = [feature.shape[2:] for feature in features[-2::-1]]
        skips = [*features[-2:0:-1], None]
        found = self.decoder.center(features[-1])
        for block, (height, width), skip in zip(self.decoder.blocks, shapes, skips, strict=True):
            found = block(found, height, width, skip_connection=skip)
            yield found
