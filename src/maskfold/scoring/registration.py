"""Where masks stand beside maps, and beside the edges of images, to parts of a pixel.

Two things are laid over each other at whole pixels ``d`` from -3 to 3 in each direction, image by image. The offset is
the ``d`` at which the sum over images is largest, between pixels at the summit of a quadratic through the largest value
and its neighbours; its interval is over images, or groups of them, drawn with replacement.
"""

import cv2
import numpy as np

from maskfold.labels import Label, LabelSpec
from maskfold.metrics.bootstrap import CHUNK_VALUES, FEWEST_GROUPS, SEED, Groups, percentiles, resamples

REACH = 3  # pixels in each direction that are tried
SMOOTHING = 1.0  # standard deviation, pixels, of the blur that rounds the summit off
REPEATS = 2000  # resamples
FEWEST = 20  # images: fewer show nothing
CONFIDENCE = 0.999  # two offsets are looked at in each of many runs
OUTLINE = 0.02  # of a blurred mask's gradient, where it counts as the outline; a straight edge has 0.4
SIDE = 2 * REACH + 1
# Coefficients of 1, y, x, y², x², yx of the least squares through 3 x 3 values.
_PLACES = np.array([(y, x) for y in (-1, 0, 1) for x in (-1, 0, 1)], float)
_Y, _X = _PLACES.T
QUADRATIC = np.linalg.pinv(np.stack([np.ones(9), _Y, _X, _Y**2, _X**2, _Y * _X], 1))


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


def edge_agreement(image: np.ndarray, label: Label, labels: LabelSpec) -> np.ndarray:
    """How well the edges of an image, moved by d, agree with a mask's outlines: float64 (7, 7), d as in `agreement`.

    The mean over the outlines of how steep the image is across them, in all channels together and in either direction,
    as a share of the largest: images of little contrast have the same say.

    Args:
        image: (H, W, C), numbers of any type.
        label: a mask of the same size; outlines are looked at where pixels count.
        labels: the classes.
    """
    height, width = label.valid.shape
    found = np.zeros((SIDE, SIDE))
    y, x = _gradient(image.astype(np.float32))
    # Across a normal n an image is as steep as n_y y + n_x x; its square, summed over channels, takes three numbers.
    steep = np.stack([(y * y).sum(-1), (y * x).sum(-1), (x * x).sum(-1)]).reshape(3, -1)
    inside = np.zeros_like(label.valid)
    inside[REACH : height - REACH, REACH : width - REACH] = label.valid[REACH : height - REACH, REACH : width - REACH]
    for mask in labels.layers(label.values):
        across = np.stack(_gradient(mask.astype(np.float32)))[..., 0]
        places = np.flatnonzero((np.hypot(*across) > OUTLINE) & inside)
        y, x = across.reshape(2, -1)[:, places]
        normal = np.stack([y * y, 2 * y * x, x * x])
        for down in range(SIDE):
            for right in range(SIDE):
                # As in `agreement`: the outline at x is compared with the image at x - d.
                there = steep.take(places + (REACH - down) * width + REACH - right, axis=1)
                squared = np.einsum("kn,kn->n", normal, there)
                found[down, right] += np.sqrt(squared.clip(0)).sum()
    return found / (found.max() or 1)


def _gradient(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of (H, W) or (H, W, C), blurred: (H, W, C) down and to the right."""
    values = cv2.GaussianBlur(values, (0, 0), SMOOTHING).reshape(*values.shape[:2], -1)
    down, right = (cv2.Sobel(values, cv2.CV_32F, *order, ksize=1).reshape(values.shape) for order in ((0, 1), (1, 0)))
    return down, right


def register(surfaces: np.ndarray, *, groups: Groups | None = None) -> np.ndarray | None:
    """Where the sum of agreements (n, 7, 7) is largest, and the ends of its interval: float64 (3, 2), (down, right).

    None where fewer than 20 images, or six groups, have an edge.
    """
    used = np.ptp(surfaces, axis=(1, 2)) > 0 if len(surfaces) else np.zeros(0, bool)
    own = None if groups is None else [group for group, kept in zip(groups, used, strict=True) if kept]
    surfaces = surfaces[used]
    if len(surfaces) < FEWEST or (own is not None and len(set(own)) < FEWEST_GROUPS):
        return None
    chunk = max(1, CHUNK_VALUES // surfaces.size)
    sums = [surfaces[rows].sum(1) for rows in resamples(len(surfaces), REPEATS, SEED, own, chunk)]
    drawn = np.array([summit(each) for each in np.concatenate(sums)])
    low, high = np.transpose([percentiles(drawn[:, axis], CONFIDENCE) for axis in (0, 1)])
    return np.stack([summit(surfaces.sum(0)), low, high])


def summit(surface: np.ndarray) -> np.ndarray:
    """(down, right) of the largest value of (7, 7), between pixels; at the border of what is tried a whole pixel."""
    row, column = np.unravel_index(int(np.argmax(surface)), surface.shape)
    place = np.array([row, column]) - REACH
    if np.abs(place).max() == REACH:
        return place.astype(float)
    _, y, x, yy, xx, yx = QUADRATIC @ surface[row - 1 : row + 2, column - 1 : column + 2].ravel()
    return place + np.linalg.solve([[2 * yy, yx], [yx, 2 * xx]], [-y, -x]).clip(-1, 1)
