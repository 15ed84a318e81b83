"""Stacking as a choice of tuning: a layer fitted to the pixels of out-of-fold maps.

What is fitted without a part's images is what that part is scored under.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from scipy.optimize import minimize

from maskfold.competitions import Competition
from maskfold.ensembling.crossfit import Held
from maskfold.ensembling.oof import OofImage, run_maps
from maskfold.ensembling.settings import Setting
from maskfold.ensembling.stack import Stack
from maskfold.ensembling.stack_layer import stack_inputs
from maskfold.labels import Label, LabelSpec
from maskfold.progress import progress

# What is looked at: pixels of an image, and of all images together pixels times classes, which all are in memory.
OF_IMAGE, OF_ALL = 2048, 8_000_000
# Weight of the squared distance from the mean of logits in the log loss per pixel: runs that say the same share a
# factor, and what a few pixels would say does not move it far.
PENALTY = 1e-3


@dataclass
class Stacking:
    """The options of a `Coordinate`: a stack fitted to the images of all other parts.

    Attributes:
        images: out-of-fold images.
        parts: (n,) part of each.
        competition: theirs.
    """

    images: Sequence[OofImage]
    parts: np.ndarray
    competition: Competition
    _pixels: dict[object, list["Pixels"]] = field(default_factory=dict)

    def __call__(self, now: Setting, held: Held) -> list[Setting]:
        """``now`` with the stack in the place of its weights.

        The runs weigh the same for what is not stacked, their presence.
        """
        runs = len(now.checkpoints)
        now = replace(now, weights=(1 / runs,) * runs)
        key = now.checkpoints, now.views
        if key not in self._pixels:
            self._pixels[key] = self._read(now)
        used = [own for own, of in zip(self._pixels[key], self.parts, strict=True) if held is None or of != held]
        return [replace(now, stack=fit_stack(used, self.competition.labels))] if used else []

    def _read(self, setting: Setting) -> list["Pixels"]:
        labels = self.competition.labels
        most = most_pixels(len(self.images), labels.channels)
        found = []
        for seed, image in enumerate(progress(self.images, "stacking: pixels", total=len(self.images))):
            maps = run_maps(image.read, setting.mix)
            found.append(pixels_of(maps, image.truth(self.competition), labels, most=most, seed=seed))
        return found


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


def most_pixels(images: int, classes: int) -> int:
    """Of each of so many images."""
    return max(1, min(OF_IMAGE, OF_ALL // (images * classes)))


def fit_stack(pixels: Sequence[Pixels], labels: LabelSpec) -> Stack:
    """The layer with the lowest log loss on the pixels of some images, each image counting the same.

    Args:
        pixels: of each image.
        labels: the classes.
    """
    used = [each for each in pixels if len(each.truth)]
    runs = pixels[0].inputs.shape[-1] // 2
    start = _mean_of_logits(runs, labels)
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


def _mean_of_logits(runs: int, labels: LabelSpec) -> Stack:
    """From which fitting begins."""
    return Stack(
        own=(1 / runs,) * runs, around=(0.0,) * runs, bias=(0.0,) * labels.channels, exclusive=labels.exclusive
    )


def _log_loss(logits: np.ndarray, truth: np.ndarray, *, exclusive: bool) -> tuple[np.ndarray, np.ndarray]:
    """Log loss of each pixel (n,), float64, and its derivative by the logits (n, C)."""
    logits = logits.astype(np.float64)
    if exclusive:
        total = np.logaddexp.reduce(logits, axis=1)
        return total - logits[truth], np.exp(logits - total[:, None]) - truth
    each = np.logaddexp(0, np.where(truth, -logits, logits))
    return each.sum(1), 1 / (1 + np.exp(-logits)) - truth
