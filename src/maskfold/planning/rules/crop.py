"""How much of an image a training sample shows."""

import math

from maskfold.planning.fingerprint import Fingerprint
from maskfold.planning.reason import Reason

CPU_MOST = 256  # larger crops make batches of fewer images, and no step faster
LEAST_BATCH = 4  # images of a batch that must fit a GPU
STEP = 32  # stride of the encoders
SHARE = 0.8  # of a GPU's memory


def crop(data: Fingerprint, scale: float, *, memory: float | None, free: int) -> Reason:
    """As large as image and memory allow, a multiple of the stride (nnU-Net: the patch comes first, then the batch).

    Source: Isensee et al., Nature Methods 18 (2021).

    Args:
        data, scale: of the images.
        memory: bytes that a million pixels take on a GPU; None: a CPU.
        free: bytes.
    """
    side = max(STEP, round(data.side * scale / STEP) * STEP)
    most = CPU_MOST if memory is None else math.isqrt(int(free * SHARE / memory * 1e6 / LEAST_BATCH)) // STEP * STEP
    if side <= most:
        return Reason(side, _why(data, scale, side))
    limit = "a CPU gains nothing by larger ones" if memory is None else f"{LEAST_BATCH} of them fit the GPU's memory"
    return Reason(max(STEP, most), f"of images of {data.side * scale:.0f} px after scale: {limit}")


def _why(data: Fingerprint, scale: float, side: int) -> str:
    """The reason of a crop as large as the image's shorter side, to a multiple of the stride."""
    shorter, longer = (round(length * scale) for length in sorted((data.height, data.width)))
    what = "the whole" if longer <= max(side, shorter) else "the shorter side"
    stride = "" if shorter == side else f", to a multiple of {STEP}"
    return f"{what} of a median image after scale ({shorter} px){stride}"
