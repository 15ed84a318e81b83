"""Mean and standard deviation of a competition's images, and whether networks pretrained on others can see them."""

import numpy as np

from maskfold.competitions import Competition, Samples
from maskfold.images import ImageSpec
from maskfold.picks import evenly_spaced

# As many images tell the statistics of all: each has a hundred thousand pixels.
MOST = 64
# Standard deviation of photographs with values in 0..1: of ImageNet's channels, by which most encoders normalise.
PHOTOGRAPHS = 0.225
# With less than this part of it an image is nearly even.
FAINT = 0.2


def image_statistics(competition: Competition, samples: Samples) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of each channel over the pixels of at most `MOST` images, evenly chosen.

    A channel with one value has the standard deviation 1.

    Returns:
        Two float64 (C,), in the units of the stored values.

    Raises:
        CompetitionError: an image that cannot be read.
    """
    sums, count = np.zeros((2, competition.images.channels)), 0
    for sample in evenly_spaced(samples, MOST):
        values = competition.image(sample.image).reshape(-1, competition.images.channels)
        values = values.astype(np.float64) / competition.images.scale
        sums += values.sum(0), np.square(values).sum(0)
        count += len(values)
    mean = sums[0] / max(count, 1)
    std = np.sqrt(np.maximum(sums[1] / max(count, 1) - mean**2, 0))
    return mean * competition.images.scale, np.where(std > 1e-6, std * competition.images.scale, 1.0)


def faint(mean: np.ndarray, std: np.ndarray, images: ImageSpec) -> str | None:
    """What is wrong with ``image_spec.scale`` where a pretrained encoder, which normalises by it, sees next to nothing.

    Args:
        mean, std: of each channel, (C,), in the units of the stored values.
        images: 8-bit RGB is never faint: its scale is nothing to be chosen.

    Returns:
        A sentence, or None; also where nearly all values are below 0, for which no scale helps.
    """
    most = (mean + 3 * std).max()
    if images.plain or most <= 0 or not std.max() < FAINT * PHOTOGRAPHS * images.scale:
        return None
    return (
        f"image_spec.scale is {images.scale:g}, and the images' standard deviation is at most {_digits(std.max(), 3)} "
        f"around {_digits(mean[std.argmax()], 3)}: pretrained encoders expect "
        f"{_digits(PHOTOGRAPHS * images.scale, 3)}, and would see nearly even images. Set image_spec.scale to "
        f"{_digits(most, 2)}, which few values exceed"
    )


def _digits(value: float, count: int) -> str:
    return f"{float(f'{value:.{count}g}'):g}"
