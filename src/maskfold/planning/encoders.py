"""The encoders that plans know, with what others published of them."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Encoder:
    """One encoder.

    Attributes:
        name: as ``model.encoder`` has it.
        top1: accuracy of its ImageNet weights in percent. Of smp's own encoders, whose weights are torchvision's:
            torchvision's metadata. Of timm's (``tu-``): ``results/results-imagenet.csv`` of pytorch-image-models at
            commit 0173a13, the row of timm's default weights.
        rate: AdamW's learning rate with batches of eight.
    """

    name: str
    top1: float
    rate: float


# Of the shipped configs, chosen by hand: satellite_mobilenet, demo; tianchi_buildings and tgs_salt, of larger batches.
FAST, SLOW = 0.002, 0.0007
# Of networks with layer norm: 1e-4 for the encoder at batches of 16, as ConvNeXt (Liu et al. 2022) and PVT v2 (Wang et
# al. 2022) were fine-tuned for segmentation; an encoder learns at half of the rate (`rules.learning_rate`).
GENTLE = 0.00014
ENCODERS = {
    encoder.name: encoder
    for encoder in (
        Encoder("tu-resnet10t", 68.36, FAST),
        Encoder("resnet18", 69.76, SLOW),
        Encoder("tu-pvt_v2_b0", 70.66, GENTLE),
        Encoder("mobilenet_v2", 71.88, FAST),
        Encoder("resnet34", 73.31, SLOW),
        Encoder("tu-tf_efficientnet_lite0", 74.83, FAST),
        Encoder("tu-mobilenetv3_large_100", 75.77, FAST),
        Encoder("resnet50", 76.13, SLOW),
        Encoder("tu-convnext_atto", 77.01, GENTLE),
        Encoder("tu-tf_efficientnet_lite2", 77.46, FAST),
        Encoder("tu-efficientnet_b0", 77.69, FAST),
        Encoder("tu-tf_efficientnetv2_b0", 78.36, SLOW),
        Encoder("tu-resnet34d", 78.44, SLOW),
        Encoder("tu-edgenext_small", 81.56, GENTLE),
        Encoder("tu-pvt_v2_b2", 82.09, GENTLE),
        Encoder("tu-tf_efficientnetv2_b3", 82.67, SLOW),
        Encoder("tu-convnext_nano", 82.86, GENTLE),
        Encoder("tu-tf_efficientnetv2_s", 84.29, SLOW),
        Encoder("tu-convnext_tiny", 84.45, GENTLE),
        Encoder("tu-convnext_small", 85.33, GENTLE),
    )
}
# Without any weights at hand: learns from scratch as fast as any (the demo, docs/experiments.md).
SCRATCH = ENCODERS["tu-resnet10t"]
# What every encoder, and every decoder, is compared with.
REFERENCE = ENCODERS["tu-tf_efficientnet_lite0"]
