"""Do masks stand beside what the images show? Out-of-fold maps are registered with the masks, to parts of a pixel.

Drawing tools, resampling and reprojection move all masks of a competition alike, by half a pixel, say (Google Research:
Identify Contrails, 2023: undone, flips and eight views began to help). A network that is trained without flips learns
such an offset, and with flips only the mean of it and of its mirror images. So maps are looked at that are merged of
views of which each has its half-turn: whatever offset ``a`` was learned, an image gives the masks' place but for ``a``
and its half-turn but for ``-a``, and the mean of both stands where the image shows the objects.

The offset is the one at which map and mask agree most: the sum over pixels of (2 y(x) - 1) (2 p(x - d) - 1), which is
linear in the map, and at a straight edge largest at the edge's place, however blurred the map is. It is computed for
whole pixels ``d``, image by image, and its summit lies at that of a quadratic through the largest value and its
neighbours. The interval is over images drawn with replacement.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from maskfold.competitions import Competition
from maskfold.config import Config
from maskfold.ensembling.choice import EnsembleChoice
from maskfold.ensembling.oof import OofImage, groups_of
from maskfold.inference.views import turns_around
from maskfold.labels import Label, LabelSpec
from maskfold.metrics.bootstrap import CHUNK_VALUES, Groups, percentiles, resamples
from maskfold.progress import progress
from maskfold.resizing import Shift
from maskfold.runs import Run
from maskfold.scoring.evaluate import choice_images

REACH = 3  # pixels in each direction that are tried
SMOOTHING = 1.0  # standard deviation, pixels, of the blur that rounds the summit off
FEWEST, MOST = 20, 400  # images: fewer show nothing, more only take time
FEWEST_GROUPS = 6
LEAST = 0.15  # pixels; less is not worth moving anything
CONFIDENCE = 0.999  # two offsets are looked at in each of many runs
SIDE = 2 * REACH + 1
# Coefficients of 1, y, x, y², x², yx of the least squares through 3 x 3 values.
_PLACES = np.array([(y, x) for y in (-1, 0, 1) for x in (-1, 0, 1)], float)
_Y, _X = _PLACES.T
QUADRATIC = np.linalg.pinv(np.stack([np.ones(9), _Y, _X, _Y**2, _X**2, _Y * _X], 1))


@dataclass(frozen=True)
class LabelShift:
    """By how many pixels masks stand below and right of what the images show, beyond what the run undoes.

    Attributes:
        shift: (down, right), in pixels of the images' files.
        low, high: ends of the 99.9 % interval of each.
        images: how many were looked at.
        undone: ``data.label_shift`` of the run.
    """

    shift: Shift
    low: Shift
    high: Shift
    images: int
    undone: Shift = (0.0, 0.0)

    @property
    def found(self) -> bool:
        """Whether the interval of either leaves out 0, by an offset that matters."""
        return any(
            abs(value) >= LEAST and (low > 0 or high < 0)
            for value, low, high in zip(self.shift, self.low, self.high, strict=True)
        )

    @property
    def key(self) -> str:
        """``data.label_shift`` that undoes it."""
        down, right = (round(old + new, 1) for old, new in zip(self.undone, self.shift, strict=True))
        return f"[{down:g}, {right:g}]"

    def figures(self) -> str:
        """Both offsets with their intervals."""
        each = zip(("down", "right"), self.shift, self.low, self.high, strict=True)
        return ", ".join(f"{value:+.2f} px {way} (99.9 %: {low:+.2f} to {high:+.2f})" for way, value, low, high in each)

    def line(self) -> str:
        """The finding in one line."""
        said = (
            f"masks stand beside what the images show: train with --data.label_shift '{self.key}'"
            if self.found
            else "masks stand where the images show objects"
        )
        return f"label shift: {self.figures()}, {self.images} images; {said}"


def label_shift_oof(
    choice: EnsembleChoice, competition: Competition, *, batch_size: int | None = None
) -> LabelShift | None:
    """`measure_label_shift` of a choice; maps are made, where they are missing, only if anything can be said."""
    configs = [Run.open(Path(run.run)).config for run in choice.runs]
    if undone_shift(choice, configs) is None:
        return None
    images = choice_images(choice, competition, batch_size=batch_size)
    groups = groups_of(competition, [image.id for image in images], configs[0].folds)
    return measure_label_shift(images, choice, competition, configs, groups=groups)


def undone_shift(choice: EnsembleChoice, configs: Sequence[Config]) -> Shift | None:
    """``data.label_shift`` of all runs of a choice.

    None where maps say nothing of a shift: the runs undo different ones, or views do not turn images around.
    """
    undone = {config.data.label_shift for config in configs}
    return undone.pop() if len(undone) == 1 and turns_around(choice.tta) else None


def measure_label_shift(
    images: Sequence[OofImage],
    choice: EnsembleChoice,
    competition: Competition,
    configs: Sequence[Config],
    *,
    groups: Groups | None = None,
) -> LabelShift | None:
    """Register the out-of-fold maps of a choice with the masks.

    Args:
        images: of the choice; of very many some, evenly spread, are looked at.
        choice: how the maps are made.
        competition: the images'.
        configs: of the choice's runs.
        groups: of the images, over which the interval is drawn where they are known.

    Returns:
        The offset; None where nothing can be said, see `undone_shift`, or fewer than 20 images or six groups have an
        edge.
    """
    undone = undone_shift(choice, configs)
    if undone is None:
        return None
    step = -(-len(images) // MOST)
    kept = list(range(0, len(images), step)) if images else []
    surfaces, factors = [], []
    for place in progress(kept, "label shift", total=len(kept)):
        image = images[place]
        probability = image.probability(choice.checkpoints, choice.weights, choice.stack)
        surfaces.append(agreement(probability, image.truth(competition), competition.labels))
        factors.append(np.divide(competition.size(image.image), probability.shape[-2:]))
    chosen = None if groups is None else [groups[place] for place in kept]
    found = register(np.array(surfaces).reshape(-1, SIDE, SIDE), groups=chosen)
    if found is None:
        return None
    factor = np.mean(factors, axis=0)
    shift, low, high = ((float(down), float(right)) for down, right in (values * factor for values in found))
    return LabelShift(shift, low, high, len(kept), undone)


def agreement(probability: np.ndarray, label: Label, labels: LabelSpec) -> np.ndarray:
    """How well a map, moved by d, agrees with a mask: float64 (7, 7), d from -3 to 3 pixels down and right.

    Args:
        probability: float32 (C, H, W).
        label: a mask of the same size; pixels that do not count do not agree or disagree.
        labels: the classes.
    """
    height, width = label.valid.shape
    found = np.zeros((SIDE, SIDE))
    if min(height, width) <= 2 * REACH:
        return found
    inner = np.s_[REACH : height - REACH, REACH : width - REACH]
    for layer, mask in zip(probability, labels.layers(label.values), strict=True):
        counted = np.where(mask[inner], np.float32(1), np.float32(-1)) * label.valid[inner]
        if mask.all() or not mask.any():
            continue  # without an edge every place fits
        surely = cv2.GaussianBlur(2 * layer - 1, (0, 0), SMOOTHING)
        for down in range(SIDE):
            for right in range(SIDE):
                # d = down - REACH: the mask at x is compared with the map at x - d.
                there = surely[2 * REACH - down : height - down, 2 * REACH - right : width - right]
                found[down, right] += np.vdot(counted, there)
    return found


def register(
    surfaces: np.ndarray, *, groups: Groups | None = None, repeats: int = 2000, seed: int = 0
) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """Where the sum of agreements (n, 7, 7) is largest, and its interval: three float64 (2,), (down, right).

    None where fewer than 20 images, or six groups, have an edge.
    """
    used = np.ptp(surfaces, axis=(1, 2)) > 0 if len(surfaces) else np.zeros(0, bool)
    own = None if groups is None else [group for group, kept in zip(groups, used, strict=True) if kept]
    surfaces = surfaces[used]
    if len(surfaces) < FEWEST or (own is not None and len(set(own)) < FEWEST_GROUPS):
        return None
    chunk = max(1, CHUNK_VALUES // surfaces.size)
    sums = [surfaces[rows].sum(1) for rows in resamples(len(surfaces), repeats, seed, own, chunk)]
    drawn = np.array([summit(each) for each in np.concatenate(sums)])
    low, high = np.transpose([percentiles(drawn[:, axis], CONFIDENCE) for axis in (0, 1)])
    return summit(surfaces.sum(0)), low, high


def summit(surface: np.ndarray) -> np.ndarray:
    """(down, right) of the largest value of (7, 7), between pixels; at the border of what is tried a whole pixel."""
    row, column = np.unravel_index(int(np.argmax(surface)), surface.shape)
    place = np.array([row, column]) - REACH
    if np.abs(place).max() == REACH:
        return place.astype(float)
    _, y, x, yy, xx, yx = QUADRATIC @ surface[row - 1 : row + 2, column - 1 : column + 2].ravel()
    return place + np.linalg.solve([[2 * yy, yx], [yx, 2 * xx]], [-y, -x]).clip(-1, 1)
