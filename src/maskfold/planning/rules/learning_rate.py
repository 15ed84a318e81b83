"""Optimiser and peak learning rate."""

import math

from maskfold.planning.reason import Reason

BATCH = 8
MOST = 0.003


def optimiser() -> Reason:
    """AdamW within Lookahead (Zhang et al., NeurIPS 2019).

    Source: the study ``averages`` (docs/experiments.md): +0.015 (+0.000 to +0.039) for the best epoch, +0.017 (+0.001
    to +0.042) for the average.
    """
    return Reason("lookahead_adamw", "Lookahead gained 0.015 in the study averages")


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
