"""What the page needs to draw a picture at another threshold: probability and truth of every pixel, in one picture."""

import io
from collections.abc import Sequence

import cv2
import numpy as np
from PIL import Image

from maskfold.drawing import fitting_size
from maskfold.labels import Label, LabelSpec

LEVELS = 64  # of a probability p: floor(64 p), so that p >= k / 64 is decided exactly
MOST_LAYERS = 8
# What is tried until a picture fits: its longest side relative to the others', and how many levels are kept.
FORMS = ((1, 64), (1, 16), (0.5, 64), (0.5, 16), (0.25, 16))


def layer_names(labels: LabelSpec) -> list[str]:
    """What the layers of `evidence` are of."""
    if labels.exclusive:
        return ["the class chosen"]
    names = list(labels.value_names[-labels.channels :])
    return names if len(names) <= MOST_LAYERS else ["any class"]


def evidence(labels: LabelSpec, probability: np.ndarray, truth: Label, mask: np.ndarray) -> np.ndarray:
    """Layers uint8 (L, H, W) of 4 floor(64 p) + 2 v + t: probability p, v whether the pixel counts, t the truth.

    Of exclusive classes there is one layer: the probability of the class chosen, t: whether that class is right. Of
    more than `MOST_LAYERS` overlapping ones too: the largest probability, t: whether there is any class.

    Args:
        labels: the classes.
        probability: float32 (C, H, W), what is decided on.
        truth: the label.
        mask: what was decided, as `labels` has it.
    """
    if labels.exclusive:
        shares, true = probability.max(0)[None], (mask == truth.values)[None]
    elif len(layer_names(labels)) == len(probability):
        shares, true = probability, labels.layers(truth.values)
    else:
        shares, true = probability.max(0)[None], labels.foreground(truth.values)[None]
    levels = (shares * LEVELS).astype(np.int32).clip(0, LEVELS - 1)
    return (4 * levels + 2 * truth.valid + true).astype(np.uint8)


def encode_evidence(layers: np.ndarray, side: int, budget: float) -> bytes:
    """A lossless WebP of the layers, each at most ``side`` long: the first of `FORMS` within ``budget`` bytes."""
    content = b""
    for factor, levels in FORMS:
        size = fitting_size(layers.shape[1:], max(1, round(side * factor)))
        step = LEVELS // levels
        kept = (layers // (4 * step) * step) * 4 + layers % 4
        content = _encode([cv2.resize(layer, size, interpolation=cv2.INTER_NEAREST) for layer in kept])
        if len(content) <= budget:
            break
    return content


def _encode(layers: Sequence[np.ndarray]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.concatenate(layers)).convert("RGB").save(buffer, "WEBP", lossless=True, quality=40, method=2)
    return buffer.getvalue()
