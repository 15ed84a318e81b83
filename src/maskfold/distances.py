"""Distances within a mask, the same to the last bit on every call."""

import cv2
import numpy as np
from scipy import ndimage

# Pixels up to which OpenCV's distances, squared, are less than 0.12 from the right whole number (with IPP, as in its
# wheels; from 885 on that drops small terms).
SURE = 768


def distance_to_outside(mask: np.ndarray) -> np.ndarray:
    """Exact Euclidean distance of each pixel of a mask to the nearest one outside of it, 0 outside.

    Args:
        mask: (H, W), bool or of numbers 0 and 1. Where nothing is outside, all pixels have the distance 1.

    Returns:
        float32 (H, W), in pixels.
    """
    pixels = np.asarray(mask).astype(np.uint8)
    if pixels.all():
        return np.ones(pixels.shape, np.float32)
    distance = cv2.distanceTransform(pixels, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    if distance.max(initial=0) > SURE:
        return np.asarray(ndimage.distance_transform_edt(pixels), np.float32)
    # OpenCV's last bit depends on where the mask lies in memory; the squares of distances are whole numbers.
    np.square(distance, out=distance)
    np.rint(distance, out=distance)
    return np.sqrt(distance, out=distance)
