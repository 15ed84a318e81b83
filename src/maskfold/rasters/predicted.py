"""A raster's probability on disk, and the mask that is decoded of it part by part."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np

from maskfold.competitions.windows import MaskWindows
from maskfold.inference import Chain
from maskfold.labels import Label, LabelSpec
from maskfold.progress import progress
from maskfold.rasters.masks import resized_label
from maskfold.rasters.raster import Raster
from maskfold.rasters.resampling import Size, Window, read_resized, window_size
from maskfold.rasters.scratch import DiskArray

# Side of the parts that are decoded at a time, and the most of what is around them that they see, in pixels.
BLOCK = 2048
MOST_REACH = 1024


@dataclass(frozen=True)
class RasterPrediction:
    """What networks say about a raster.

    Attributes:
        raster: the raster.
        size: (H, W) at which it is decoded: at the scale of the training tiles, or as a submission is asked for.
        maps: probabilities (C, h, w) of each run, at the scale that its networks see, and the run's share.
        presence: float32 (C,), the probability that each class is anywhere; `None` where no network has such a head.
    """

    raster: Raster
    size: Size
    maps: Sequence[tuple[float, DiskArray]]
    presence: np.ndarray | None

    def probability(self, window: Window, size: Size | None = None) -> np.ndarray:
        """The weighted mean of the runs, float32 (C, h, w), at ``window`` of ``size`` (`None`: its own)."""
        first, *others = [np.float32(share) * self._map(held, window, size or self.size) for share, held in self.maps]
        return sum(others, start=first)

    def image(self, window: Window) -> np.ndarray:
        """The raster (h, w, channels) at ``window`` of its `size`."""
        return self.raster.resized(self.size, window)

    def _map(self, held: DiskArray, window: Window, size: Size) -> np.ndarray:
        def read(own: Window) -> np.ndarray:
            return np.moveaxis(held.read(own), 0, -1)

        return np.moveaxis(read_resized(read, held.size, size, window, "map"), -1, 0)


def decode_raster(prediction: RasterPrediction, chain: Chain, folder: Path, wanted: Size) -> MaskWindows:
    """The mask of a raster, resized to ``wanted`` (H, W); it is decoded part by part, and kept in a file in ``folder``.

    The parts see what is around them as far as the chain's steps reach, so that the mask is the one of the whole map:
    also components and holes of up to ``MOST_REACH`` pixels; larger ones, which `min_area` may ask for, unless they are
    both longer than that and thin.
    """
    labels, size = chain.labels, prediction.size
    layers = labels.mask_shape((1, 1))[:-2]
    mask = DiskArray(folder / "mask", layers[0] if layers else 1, size, np.uint8)
    reach = min(chain.reach, MOST_REACH)
    for inner, outer in progress(_windows(size, reach), "decode", total=_count(size), unit="part"):
        found = chain.decode(prediction.probability(outer), _image(prediction, outer), prediction.presence)
        rows, columns = (slice(i.start - o.start, i.stop - o.start) for i, o in zip(inner, outer, strict=True))
        mask.write(inner, found[..., rows, columns].reshape(mask.shape[0], *window_size(inner)))
    return _resized(mask, wanted, labels)


def _resized(mask: DiskArray, wanted: Size, labels: LabelSpec) -> MaskWindows:
    def read(window: Window) -> Label:
        layers = mask.read(window)
        return Label.whole(layers if len(labels.mask_shape((1, 1))) == layers.ndim else layers[0])

    def window(rows: slice, columns: slice) -> np.ndarray:
        return resized_label(read, mask.size, wanted, (rows, columns), labels).values

    return MaskWindows(window, wanted)


def _image(prediction: RasterPrediction, window: Window) -> Callable[[], np.ndarray]:
    return lambda: prediction.image(window)


def _windows(size: Size, reach: int) -> Iterator[tuple[Window, Window]]:
    """Parts that cover the raster once, and each with what is around it."""
    for y, x in product(range(0, size[0], BLOCK), range(0, size[1], BLOCK)):
        inner = slice(y, min(y + BLOCK, size[0])), slice(x, min(x + BLOCK, size[1]))
        rows, columns = (
            slice(max(0, axis.start - reach), min(length, axis.stop + reach))
            for axis, length in zip(inner, size, strict=True)
        )
        yield inner, (rows, columns)


def _count(size: Size) -> int:
    return -(-size[0] // BLOCK) * -(-size[1] // BLOCK)
