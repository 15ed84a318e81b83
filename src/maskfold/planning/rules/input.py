"""What brings images to the network."""

import os

from maskfold.planning.fingerprint import Fingerprint
from maskfold.planning.reason import Reason

WORKERS = 8
MEMORY = 0.25  # of what is free


def workers(gpu: bool) -> Reason:
    """Data workers: as many as there are cores beside a GPU, two beside a CPU's own threads."""
    cores = os.cpu_count() or 1
    if gpu:
        return Reason(max(1, min(WORKERS, cores - 1)), f"{cores} cores, which have nothing else to do")
    return Reason(2, "they share the cores with the training")


def cache(data: Fingerprint, scale: float, memory: int) -> Reason:
    """Decoded images and labels stay in memory where they are small beside what the machine (not its GPU) has free."""
    size = data.train * data.pixels * scale**2 * data.pixel_bytes
    if size <= MEMORY * memory:
        return Reason("memory", f"{size / 1e9:.2g} GB of {memory / 1e9:.2g} that are free: decoded once")
    return Reason("none", f"{size / 1e9:.2g} GB would be too much of {memory / 1e9:.2g}")
