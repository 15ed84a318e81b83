"""The encoders that a plan chooses from, and which of them have their weights at hand."""

from collections.abc import Sequence
from dataclasses import dataclass

from maskfold.errors import ModelError
from maskfold.models.resolve import resolve_local


@dataclass(frozen=True)
class Encoder:
    """One encoder.

    Attributes:
        name: as ``model.encoder`` has it.
        top1: accuracy of its ImageNet weights in percent, rounded. Checked: torchvision's (in its metadata), and timm's
            results-imagenet.csv for EfficientNetV2 S (83.9, of in1k; timm's usual weights, from in21k, are better) and
            B3 (82.67). The others were written from memory of that table: a start, good to about half a percent.
        decoder: channels of a U-Net's decoder that suit its size.
        rate: AdamW's learning rate with batches of eight.
    """

    name: str
    top1: float
    decoder: tuple[int, ...]
    rate: float


NARROW, WIDE = (128, 64, 32, 16, 16), (256, 128, 64, 32, 16)
# Of the shipped configs, chosen by hand: satellite_mobilenet, demo; tianchi_buildings and tgs_salt, of larger batches.
FAST, SLOW = 0.002, 0.0007
# Seconds are measured on the device; these are sorted by what they cost.
TABLE = (
    Encoder("mobilenet_v2", 71.9, NARROW, FAST),
    Encoder("tu-tf_efficientnet_lite0", 74.8, NARROW, FAST),
    Encoder("tu-tf_efficientnet_lite2", 77.5, NARROW, FAST),
    Encoder("resnet34", 73.3, WIDE, SLOW),
    Encoder("tu-resnet34d", 77.1, WIDE, SLOW),
    Encoder("resnet50", 76.1, WIDE, SLOW),
    Encoder("tu-tf_efficientnetv2_b3", 82.7, WIDE, SLOW),
    Encoder("tu-convnext_tiny", 84.2, WIDE, SLOW),
    Encoder("tu-tf_efficientnetv2_s", 83.9, WIDE, SLOW),
    Encoder("tu-convnext_small", 85.3, WIDE, SLOW),
)
# Without any weights at hand: learns from scratch as fast as any (the demo, docs/experiments.md).
SCRATCH = Encoder("tu-resnet10t", 68.2, (128, 64, 32, 16, 8), FAST)


def at_hand(table: Sequence[Encoder] = TABLE) -> list[Encoder]:
    """Those of the table whose ImageNet weights are on this machine, the cheapest first; nothing is fetched."""
    return [encoder for encoder in table if _is_here(encoder)]


def _is_here(encoder: Encoder) -> bool:
    try:
        return resolve_local("imagenet", encoder.name) is not None
    except ModelError:
        return False  # several files fit
