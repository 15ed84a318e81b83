"""Instances: masks in which objects of one class are told apart.

A mask of instances is int32 (H, W): 0 where none is, else the number of the instance, so that instances cannot overlap.
A plain mask is uint8 or bool of 0 and 1; its instances are its components of 8-connected pixels.
"""

import cv2
import numpy as np


def components(mask: np.ndarray) -> np.ndarray:
    """The components (8 neighbours) of a plain mask (H, W), numbered from 1: int32."""
    return np.asarray(cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)[1], np.int32)


def numbered(mask: np.ndarray) -> np.ndarray:
    """The instances of a mask (H, W): int32, a mask of instances as it is, the `components` of a plain one."""
    return mask if mask.dtype == np.int32 else components(mask)


def plain(mask: np.ndarray) -> np.ndarray:
    """Where any instance is, uint8 of 0 and 1; another mask as it is."""
    return (mask != 0).astype(np.uint8) if mask.dtype == np.int32 else mask
