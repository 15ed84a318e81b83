"""Peak learning rate."""

import math

from maskfold.planning.reason import Reason

BATCH = 8
MOST = 0.003


def learning_rate(batch: int, rate: float) -> Reason:
    """AdamW's rate grows with the square root of the batch.

    Args:
        batch: images.
        rate: of the encoder, with batches of eight.

    Source: Malladi et al., On the SDEs and Scaling Rules for Adaptive Gradient Algorithms (NeurIPS 2022).
    """
    grown = rate * math.sqrt(batch / BATCH)
    most = f", {MOST} at most" if grown > MOST else ""
    why = f"{rate} for batches of {BATCH}, times the root of {batch}/{BATCH}{most}"
    return Reason(float(f"{min(MOST, grown):.2g}"), why)


def encoder_factor(pretrained: bool) -> Reason:
    """Pretrained encoders learn at half the rate, as in the shipped configs of real competitions."""
    if pretrained:
        return Reason(0.5, "pretrained weights move more slowly than the decoder's")
    return Reason(1.0, "no weights to keep")
