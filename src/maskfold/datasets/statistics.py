"""Mean and standard deviation of a competition's images, for networks that are not pretrained on others."""

import numpy as np

from maskfold.competitions import Competition, Samples
from maskfold.picks import evenly_spaced

# As many images tell the statistics of all: each has a hundred thousand pixels.
MOST = 64


def image_statistics(competition: Competition, samples: Samples) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of each channel over the pixels of at most `MOST` images, evenly chosen.

    Pixels that are not finite are left out; a channel with one value has the standard deviation 1.

    Returns:
        Two float64 (C,), in the units of the stored values.

    Raises:
        CompetitionError: an image that cannot be read.
    """
    sums = np.zeros((3, competition.images.channels))
    for sample in evenly_spaced(samples, MOST):
        values = competition.image(sample.image).reshape(-1, competition.images.channels)
        values = values.astype(np.float64)
        counted = np.isfinite(values)
        values = np.where(counted, values, 0) / competition.images.scale
        sums += counted.sum(0), values.sum(0), np.square(values).sum(0)
    count = np.maximum(sums[0], 1)
    mean = sums[1] / count
    std = np.sqrt(np.maximum(sums[2] / count - mean**2, 0))
    return mean * competition.images.scale, np.where(std > 1e-6, std * competition.images.scale, 1.0)
