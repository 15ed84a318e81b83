"""Images of a batch of training, and of prediction."""

from maskfold.planning.reason import Reason
from maskfold.planning.rules.crop import SHARE
from maskfold.training.batches import by_pixels, most_images, on_cpu

PLANNED_MOST = 32  # images on a GPU


def batch_size(crop: int, images: int, *, memory: float | None, free: int) -> Reason:
    """On a CPU by the crop's pixels, on a GPU what fits, up to 32; an epoch keeps its steps.

    Source: `maskfold.training.batches`, which ``auto`` uses; nnU-Net fills the memory, and Masters & Luschi
    (arXiv 1804.07612) find batches of 32 and fewer to generalise best.

    Args:
        crop: side in pixels.
        images: of an epoch.
        memory: bytes that a million pixels take on a GPU; None: a CPU.
        free: bytes.
    """
    most = most_images(images)
    if memory is None:
        used, why = on_cpu(crop, most), "pixels that a CPU works on at once"
        fits = on_cpu(crop, images)
    else:
        fits, why = max(2, _on_gpu(crop**2, memory, free)), "they fit the GPU's memory"
        used = min(fits, most)
    return Reason(used, why if used == fits else f"an epoch of {images} images has {images // used} steps")


def prediction_batch(image: int, *, memory: float | None, free: int, most: int = PLANNED_MOST) -> Reason:
    """Of images, or windows, of so many pixels at most; a number, for several processes cannot settle ``auto``.

    Args:
        image: pixels after scale.
        memory, free: see `batch_size`; prediction takes less memory than training.
        most: images that a GPU may hold.
    """
    if memory is None:
        return Reason(by_pixels(image), f"each of up to {image} pixels after scale")
    fits = _on_gpu(image, memory, free)
    if most < fits:
        return Reason(most, "so many maps of whole images fit the GPU's memory beside the windows")
    return Reason(max(1, fits), f"each of up to {image} pixels after scale: they could even train together")


def _on_gpu(image: int, memory: float, free: int) -> int:
    return min(PLANNED_MOST, int(free * SHARE / (memory * image / 1e6)))
