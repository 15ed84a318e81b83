"""Whether a network in another form says what the network says: on a real image, at two sizes and two batch sizes."""

from collections.abc import Callable, Iterable
from pathlib import Path

import torch
from torch import Tensor

from maskfold.competitions import Competition
from maskfold.datasets.dataset import image_tensor, resize_image
from maskfold.errors import ExportError
from maskfold.rasters.raster import Raster
from maskfold.resizing import scaled_size

# Largest difference of a probability that is taken for rounding.
TOLERANCE = 1e-3
# Longest side of the images that are compared, in pixels.
SIDE = 512


def example_images(competition: Competition, scale: float) -> list[Tensor]:
    """(2, K, h, w): the competition's first test image (training image where there is none) and its mirror image, of
    at most 512 pixels a side; and (1, K, h', w'), an odd part of it.

    Args:
        competition: the run's.
        scale: the run's ``data.scale``.
    """  # noqa: D205
    sample = (competition.samples("test") or competition.samples("train"))[0]
    if competition.by_windows(sample):
        raster = Raster.of_sample(competition, sample)
        size = scaled_size(raster.size, scale * competition.profile.raster_scale)
        image = raster.resized(size, (slice(0, min(SIDE, size[0])), slice(0, min(SIDE, size[1]))))
    else:
        image = resize_image(competition.image(sample.image), scale)
    whole = image_tensor(image[:SIDE, :SIDE])
    height, width = whole.shape[-2:]
    return [torch.stack([whole, whole.flip(-1)]), whole[None, :, : 3 * height // 4 | 1, : 2 * width // 3 | 1]]


Probabilities = Callable[[Tensor], Tensor]


def check_same(network: Probabilities, other: Probabilities, images: Iterable[Tensor], source: Path) -> float:
    """The largest difference of the two's probabilities.

    Raises:
        ExportError: they differ in shape, or by more than `TOLERANCE`; ``source`` is what ``other`` was read from.
    """
    largest = 0.0
    for batch in images:
        with torch.inference_mode():
            wanted, found = network(batch), other(batch)
        if wanted.shape != found.shape:
            raise ExportError(
                f"{source.name} makes maps {tuple(found.shape)} of images {tuple(batch.shape)}, the network "
                f"{tuple(wanted.shape)}: this architecture cannot be exported for images of any size"
            )
        largest = max(largest, float((wanted - found).abs().max().nan_to_num(torch.inf)))
    if largest > TOLERANCE:
        raise ExportError(
            f"probabilities of {source.name} differ from the network's by up to {largest:.2g}, more than {TOLERANCE}: "
            "nothing was written; predict with torch"
        )
    return largest
