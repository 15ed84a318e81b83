"""Images of a training batch."""

from maskfold.planning.reason import Reason
from maskfold.training.batches import LEAST, LEAST_STEPS, by_pixels

GPU_MOST = 32
SHARE = 0.8  # of a GPU's memory


def batch_size(crop: int, images: int, *, memory: float | None, free: int) -> Reason:
    """On a CPU by the crop's pixels, on a GPU what fits, up to 32; an epoch keeps ten steps.

    Source: `maskfold.training.batches`, which ``auto`` uses; nnU-Net fills the memory, and Masters & Luschi
    (arXiv 1804.07612) find batches of 32 and fewer to generalise best.

    Args:
        crop: side in pixels.
        images: that a fold trains on.
        memory: bytes that a million pixels take on a GPU; None: a CPU.
        free: bytes.
    """
    steps = max(LEAST, images // LEAST_STEPS)
    if memory is None:
        fits, why = max(LEAST, by_pixels(crop**2)), "pixels that a CPU works on at once"
    else:
        fits, why = min(GPU_MOST, max(2, int(free * SHARE / (memory * crop**2 / 1e6)))), "they fit the GPU's memory"
    return Reason(min(fits, steps), why if fits <= steps else f"an epoch of {images} images keeps {LEAST_STEPS} steps")
