"""Instances: masks in which objects of one class are told apart.

A mask of instances is int32 (H, W): 0 where none is, else the number of the instance, so that instances cannot overlap.
A plain mask is uint8 or bool of 0 and 1; its instances are its components of 8-connected pixels.
"""

from collections.abc import Iterable, Iterator

import cv2
import numpy as np
from scipy.ndimage import find_objects

from maskfold.distances import distance_to_outside

REACH = 2  # pixels; of two objects that are both so near, the border is between them


def components(mask: np.ndarray) -> np.ndarray:
    """The components (8 neighbours) of a plain mask (H, W), numbered from 1: int32."""
    return np.asarray(cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)[1], np.int32)


def numbered(mask: np.ndarray) -> np.ndarray:
    """The instances of a mask (H, W): int32, a mask of instances as it is, the `components` of a plain one."""
    return mask if mask.dtype == np.int32 else components(mask)


def drawn(objects: Iterable[np.ndarray], shape: tuple[int, int]) -> np.ndarray:
    """A mask of instances (H, W) of the masks of objects, numbered from 1; where they overlap, it is the last one."""
    found = np.zeros(shape, np.int32)
    for number, own in enumerate(objects, start=1):
        found[own != 0] = number
    return found


def plain(mask: np.ndarray) -> np.ndarray:
    """Where any instance is, uint8 of 0 and 1; another mask as it is."""
    return (mask != 0).astype(np.uint8) if mask.dtype == np.int32 else mask


def borders(instances: np.ndarray) -> np.ndarray:
    """Where objects touch: bool (H, W), the pixels with two instances or more within `REACH` pixels, in a square."""
    window = np.ones((2 * REACH + 1,) * 2, np.uint8)
    numbers = instances.astype(np.float32)
    highest = cv2.dilate(numbers, window)
    lowest = cv2.erode(np.where(instances > 0, numbers, highest.max()), window)
    return lowest < highest


def depths(instances: np.ndarray) -> np.ndarray:
    """How far inside of its object a pixel is: float32 (H, W), 0 where none is, 1 in the middle of each object.

    It is the distance to the nearest pixel that is not the object's, over the largest one in the object. Objects that
    reach the image's edge go on behind it.
    """
    found = np.zeros(instances.shape, np.float32)
    for number, (rows, columns) in _boxes(instances):
        here = np.s_[rows, columns]
        own = instances[here] == number
        distance = distance_to_outside(own)
        found[here][own] = (distance / max(float(distance.max()), 1.0))[own]
    return found


def _boxes(instances: np.ndarray) -> Iterator[tuple[int, tuple[slice, slice]]]:
    """The instances and their bounding boxes, with a margin of one pixel where the image has it."""
    for number, box in enumerate(find_objects(instances), start=1):
        if box is not None:
            rows, columns = (slice(max(0, side.start - 1), side.stop + 1) for side in box)
            yield number, (rows, columns)
