"""Fitting the layer that puts runs together, to the pixels of out-of-fold maps."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize

from maskfold.ensembling.stack import Stack
from maskfold.ensembling.stack_layer import neutral_stack, stack_inputs
from maskfold.labels import Label, LabelSpec

# Pixels that are looked at: of an image, and of all images together.
OF_IMAGE, OF_ALL = 2048, 4_000_000
# Weight of the squared distance from the mean of logits in the log loss per pixel: runs that say the same share a
# factor, and what a few pixels would say does not move it far.
PENALTY = 1e-3


@dataclass(frozen=True)
class Pixels:
    """What stacking sees of one image.

    Attributes:
        inputs: float32 (n, C, 2 * runs): of each pixel and class, the logit of each run, then the mean around it.
        truth: bool (n, C).
    """

    inputs: np.ndarray
    truth: np.ndarray


def pixels_of(maps: Sequence[np.ndarray], label: Label, labels: LabelSpec, *, most: int, seed: int) -> Pixels:
    """Pixels that count of one image, at most ``most``, drawn evenly.

    Args:
        maps: of each run, float32 (C, H, W).
        label: a hard label of the same size.
        labels: the classes.
        most: number of pixels.
        seed: of the drawing.
    """
    places = np.flatnonzero(label.valid)
    if len(places) > most:
        places = np.sort(np.random.default_rng(seed).choice(places, most, replace=False))
    seen = [stack_inputs(one, exclusive=labels.exclusive) for one in maps]
    columns = [pair[which].reshape(labels.channels, -1)[:, places].T for which in (0, 1) for pair in seen]
    truth = labels.layers(label.values).reshape(labels.channels, -1)[:, places].T
    return Pixels(np.stack(columns, axis=-1), truth)


def most_pixels(images: int) -> int:
    """Of each of so many images."""
    return max(1, min(OF_IMAGE, OF_ALL // max(1, images)))


def fit_stack(pixels: Sequence[Pixels], labels: LabelSpec) -> Stack:
    """The layer with the lowest log loss on the pixels of some images, each image counting the same.

    Args:
        pixels: of each image.
        labels: the classes.
    """
    used = [each for each in pixels if len(each.truth)]
    runs = pixels[0].inputs.shape[-1] // 2
    start = neutral_stack(runs, labels)
    if not used:
        return start
    inputs = np.concatenate([each.inputs for each in used])
    truth = np.concatenate([each.truth for each in used])
    weights = np.concatenate([np.full(len(each.truth), 1 / len(each.truth)) for each in used]) / len(used)
    begin = np.array([*start.own, *start.around, *start.bias])

    def loss(values: np.ndarray) -> tuple[float, np.ndarray]:
        factors, bias = values[: 2 * runs], values[2 * runs :]
        logits = inputs @ factors.astype(np.float32) + bias.astype(np.float32)
        found, residual = _log_loss(logits, truth, exclusive=labels.exclusive)
        residual = residual * weights[:, None]
        gradient = [np.einsum("nc,ncf->f", residual, inputs), residual.sum(0)]
        away = values - begin
        return float(weights @ found) + PENALTY * float(away @ away), np.concatenate(gradient) + 2 * PENALTY * away

    found = minimize(loss, begin, jac=True, method="L-BFGS-B", options={"maxiter": 200}).x.tolist()
    return Stack(
        own=tuple(found[:runs]),
        around=tuple(found[runs : 2 * runs]),
        bias=tuple(found[2 * runs :]),
        exclusive=labels.exclusive,
    )


def _log_loss(logits: np.ndarray, truth: np.ndarray, *, exclusive: bool) -> tuple[np.ndarray, np.ndarray]:
    """Log loss of each pixel (n,), float64, and its derivative by the logits (n, C)."""
    logits = logits.astype(np.float64)
    if exclusive:
        total = np.logaddexp.reduce(logits, axis=1)
        return total - logits[truth], np.exp(logits - total[:, None]) - truth
    each = np.logaddexp(0, np.where(truth, -logits, logits))
    return each.sum(1), 1 / (1 + np.exp(-logits)) - truth
