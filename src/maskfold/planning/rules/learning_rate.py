"""Peak learning rate."""

import math

from maskfold.planning.reason import Reason

RATE, BATCH = 0.002, 8  # of the configs satellite_mobilenet and demo, chosen by hand
MOST = 0.003


def learning_rate(batch: int) -> Reason:
    """AdamW's rate grows with the square root of the batch.

    Source: Malladi et al., On the SDEs and Scaling Rules for Adaptive Gradient Algorithms (NeurIPS 2022).
    """
    rate = min(MOST, RATE * math.sqrt(batch / BATCH))
    return Reason(float(f"{rate:.2g}"), f"{RATE} for batches of {BATCH}, times the root of {batch}/{BATCH}")


def encoder_factor(pretrained: bool) -> Reason:
    """Pretrained encoders learn at half the rate, as in the shipped configs of real competitions."""
    if pretrained:
        return Reason(0.5, "pretrained weights move more slowly than the decoder's")
    return Reason(1.0, "no weights to keep")
