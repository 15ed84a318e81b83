"""Whether prediction looks at whole images or at windows of them."""

import math

from maskfold.config import TTAConfig
from maskfold.inference.stitch import WindowGrid
from maskfold.planning.fingerprint import Fingerprint
from maskfold.planning.reason import Reason
from maskfold.planning.rules.crop import SHARE

MAPS = 6  # float32, of the images' size: sums, weights, views, the merged ones
PREDICTION = 0.5  # of the memory that training takes, at most: no gradients, and only the skip connections are kept


def window(data: Fingerprint, scale: float, crop: int, *, memory: float | None, free: int) -> Reason:
    """Whole images, and where one does not fit a GPU windows of the crops' side, which training showed.

    Args:
        data, scale: of the images.
        crop: side of a training sample, in pixels after scale.
        memory: bytes that a million pixels take on a GPU in training; None: a CPU.
        free: bytes.
    """
    millions = data.largest * scale**2 / 1e6
    if memory is None or PREDICTION * memory * millions <= SHARE * free:
        return Reason(None, f"whole images of up to {millions:.3g} million pixels after scale")
    return Reason(crop, f"an image of {millions:.3g} million pixels after scale does not fit the GPU's memory")


def images_held(data: Fingerprint, scale: float, free: int) -> int:
    """Images whose maps a GPU holds at once, while windows of them are merged; one at least."""
    maps = MAPS * 4 * data.channels * data.largest * scale**2
    return max(1, int(free * SHARE / 2 / maps))


def window_pixels(data: Fingerprint, scale: float, side: int | None) -> float:
    """Pixels of all windows of a median image relative to its own; 1 without windows."""
    if side is None:
        return 1.0
    size = round(data.height * scale), round(data.width * scale)
    return WindowGrid(size, side, TTAConfig().overlap).pixels / math.prod(size)
