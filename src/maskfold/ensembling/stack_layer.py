"""The layer of a `Stack` at work on probability maps: apart from it, as a choice is read without OpenCV."""

from collections.abc import Sequence

import cv2
import numpy as np

from maskfold.ensembling.stack import Stack
from maskfold.metrics.temperature import logits_of, probabilities_of


def stacked_map(stack: Stack, maps: Sequence[np.ndarray]) -> np.ndarray:
    """The probability, float32 (C, H, W), of the maps of all runs, each float32 (C, H, W) in [0, 1]."""
    total = np.array(stack.bias, np.float32)[:, None, None]
    for one, own, around in zip(maps, stack.own, stack.around, strict=True):
        logits, near = stack_inputs(one, exclusive=stack.exclusive)
        total = total + np.float32(own) * logits + np.float32(around) * near
    return probabilities_of(total, exclusive=stack.exclusive)


def stack_inputs(probability: np.ndarray, *, exclusive: bool) -> tuple[np.ndarray, np.ndarray]:
    """What the layer sees of a run's map (C, H, W): its logits, and their means over 3 x 3 pixels, float32.

    At the border the last pixels are repeated.
    """
    logits = logits_of(probability, exclusive=exclusive)
    near = [cv2.blur(layer, (3, 3), borderType=cv2.BORDER_REPLICATE) for layer in logits]
    return logits, np.stack(near)
