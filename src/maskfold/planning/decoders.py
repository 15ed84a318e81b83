"""The decoders that plans know."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Decoder:
    """What stands behind an encoder.

    Attributes:
        name: in the table, and in words.
        architecture, options: as ``model.architecture`` and ``model.options`` have them.
    """

    name: str
    architecture: str
    options: Mapping[str, Any]


DECODERS = {
    decoder.name: decoder
    for decoder in (
        Decoder("narrow U-Net", "unet", {"decoder_channels": [128, 64, 32, 16, 16]}),
        Decoder("wide U-Net", "unet", {"decoder_channels": [256, 128, 64, 32, 16]}),
        Decoder("FPN", "fpn", {}),
        Decoder("DeepLabV3+", "deeplabv3plus", {}),
        Decoder("SegFormer", "segformer", {}),
    )
}
# What every encoder is compared with the others in.
REFERENCE = DECODERS["narrow U-Net"]
