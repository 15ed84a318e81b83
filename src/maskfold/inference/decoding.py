"""From probabilities to a mask: threshold, filled holes, no specks; or the most probable class."""

import cv2
import numpy as np

from maskfold.errors import InferenceError
from maskfold.labels import LabelSpec


def postprocess(
    probability: np.ndarray, labels: LabelSpec, *, threshold: float = 0.5, min_area: int = 0, fill_holes: int = 0
) -> np.ndarray:
    """The mask of a probability map (C, H, W), as ``labels`` has it; of overlapping classes one by one.

    Args:
        probability: float32, or uint8 v that stands for the float32 v / 255 and gives the same mask.
        threshold: pixels are foreground from this probability on (>=, compared in float32).
        min_area: then components (8 neighbours) of fewer pixels than this are removed; 0 and 1: none.
        fill_holes: first, holes of at most this many pixels are filled: background components
            (4 neighbours) that do not touch the image's border. 0: none.

    Raises:
        InferenceError: a map of another shape or type; areas given for exclusive classes.
    """
    if probability.ndim != 3 or probability.dtype not in (np.float32, np.uint8):
        raise InferenceError(
            f"a probability map is {probability.dtype} {probability.shape}, expected float32 or uint8 (C, H, W)"
        )
    mask = labels.decide(probability, threshold)
    if not fill_holes and not min_area:
        return mask
    if labels.exclusive:
        raise InferenceError(
            f"min_area is {min_area} and fill_holes is {fill_holes}, but classes exclude each other: both are for "
            "classes with a threshold, set them to 0"
        )
    layers = mask.reshape(labels.channels, *mask.shape[-2:])
    if fill_holes:
        layers = [fill_small_holes(layer, fill_holes) for layer in layers]
    if min_area > 1:
        layers = [remove_small(layer, min_area) for layer in layers]
    return labels.mask(np.stack(layers))


def remove_small(mask: np.ndarray, min_area: int) -> np.ndarray:
    """The mask (H, W) uint8 0/1 without components (8 neighbours) of fewer than ``min_area`` pixels."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    keep = stats[:, cv2.CC_STAT_AREA] >= min_area
    keep[0] = False
    return keep.astype(np.uint8)[labels]


def fill_small_holes(mask: np.ndarray, max_area: int) -> np.ndarray:
    """The mask (H, W) uint8 0/1 with holes (4 neighbours, off the border) of up to ``max_area`` pixels filled."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats(1 - mask, connectivity=4)
    left, top, width, height, area = stats.T
    inside = (left > 0) & (top > 0) & (left + width < mask.shape[1]) & (top + height < mask.shape[0])
    fill = inside & (area <= max_area)
    return mask | fill.astype(np.uint8)[labels]
