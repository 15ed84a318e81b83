"""What people run today, as a config: the recipe that `bench_plan.py` compares plans with.

A U-Net of MobileNetV2 with ImageNet weights, images brought to 256 pixels, flips, BCE (of exclusive classes:
cross-entropy) + Dice, AdamW at 1e-3 under one cycle, batches of eight, the best epoch, four flip views.
"""

from typing import Any

SIDE = 256


def plain_recipe(side: float, *, exclusive: bool) -> dict[str, Any]:
    """Dotted keys of the config.

    Args:
        side: the shorter side of a median image in pixels.
        exclusive: whether classes exclude each other.
    """
    pixels = "cross_entropy" if exclusive else "bce"
    return {
        "data.scale": round(SIDE / side, 4),
        "data.crop": SIDE,
        "data.augment": "flips",
        "model.architecture": "unet",
        "model.encoder": "mobilenet_v2",
        "model.encoder_weights": "imagenet",
        "loss": [{"name": pixels, "weight": 0.5}, {"name": "dice", "weight": 0.5}],
        "optim.name": "adamw",
        "optim.lr": 0.001,
        "schedule.name": "one_cycle",
        "schedule.warmup": 0.3,
        "train.batch_size": 8,
        "tta.views": "flips",
    }
