"""How masks and predictions differ along borders: what dilation, polygons and other ways of drawing leave behind."""

from typing import NamedTuple

import cv2
import numpy as np

BAND = 4  # pixels on both sides of a mask's border


class Border(NamedTuple):
    """Of one image; NaN where its mask has no border, or nothing is wrong.

    Attributes:
        offset: pixels by which predictions reach beyond the mask on average, negative: by which they stay inside.
        share: of the wrong pixels that are along the border.
    """

    offset: float
    share: float


def compare_borders(predicted: np.ndarray, labelled: np.ndarray, valid: np.ndarray) -> Border:
    """Compare foregrounds, bool (H, W), over the pixels that count.

    Along a straight border that is predicted d pixels outside of where it is drawn, the wrong pixels outside less those
    inside, divided by the border's length, are d.
    """
    inside = cv2.distanceTransform(np.pad(labelled, 1, mode="edge").astype(np.uint8), cv2.DIST_L2, 5)[1:-1, 1:-1]
    outside = cv2.distanceTransform(np.pad(~labelled, 1, mode="edge").astype(np.uint8), cv2.DIST_L2, 5)[1:-1, 1:-1]
    band = (np.where(labelled, inside, outside) <= BAND) & valid
    length = float((((labelled & (inside <= 1)) | (~labelled & (outside <= 1))) & valid).sum()) / 2
    if length == 0 or labelled.all() or not labelled.any():
        return Border(float("nan"), float("nan"))
    wrong = (predicted != labelled) & valid
    surplus = float((wrong & band & ~labelled).sum()) - float((wrong & band & labelled).sum())
    return Border(surplus / length, float((wrong & band).sum() / wrong.sum()) if wrong.any() else float("nan"))
