"""What tifs of bands need before and beside OpenCV and Pillow, which think of colours."""

import struct
import warnings
from collections.abc import Mapping
from typing import IO, NamedTuple

import numpy as np
from PIL import TiffImagePlugin, UnidentifiedImageError

from maskfold.errors import CompetitionError

TIF_SUFFIXES = frozenset({".tif", ".tiff"})
# Values of a tif's tag PhotometricInterpretation.
BLACK_IS_ZERO, RGB = 1, 2
# A tif's tag of how it is to be turned to be looked at, and its value for: not at all.
ORIENTATION, AS_STORED = 274, 1


def read_bands(data: bytes, name: str) -> np.ndarray | None:
    """Bands (H, W, C) of a tif with such a number or order of them that OpenCV cannot read it, by rasterio.

    `None` where OpenCV can, or will tell what is wrong.

    Raises:
        CompetitionError: rasterio is not installed, or cannot read the file.
    """
    try:
        tags = _tif_tags(data)
    except struct.error:
        return None
    bands = tags.get(TiffImagePlugin.SAMPLESPERPIXEL, _Tag()).value
    apart = tags.get(TiffImagePlugin.PLANAR_CONFIGURATION, _Tag()).value == 2
    if not _beyond_colours(tags) or (bands in (3, 4) and not apart):
        return None
    how = "bands that stand one after the other" if bands in (3, 4) else f"{bands} bands"
    try:
        import rasterio.errors
    except ImportError:
        raise CompetitionError(
            f"{name} is a tif of {how}: without rasterio tifs have 1, 3 or 4 bands, pixel by pixel. Install it with "
            "pip install rasterio, or save the images as npy (H, W, C)"
        ) from None
    warnings.filterwarnings("ignore", category=rasterio.errors.NotGeoreferencedWarning)
    try:
        with rasterio.MemoryFile(data) as file, file.open(driver="GTiff") as raster:
            return np.moveaxis(raster.read(), 0, -1)
    except rasterio.errors.RasterioError as error:
        raise CompetitionError(f"{name}, a tif of {how}, cannot be read: {error}") from None


def as_stored(data: bytes) -> bytes:
    """A tif, or anything else, of which OpenCV and Pillow give the stored pixels; rasterio turns nothing anyway."""
    try:
        orientation = _tif_tags(data).get(ORIENTATION)
    except struct.error:
        return data  # who decodes it tells what is wrong
    return data if orientation is None or orientation.value == AS_STORED else orientation.set(data, AS_STORED)


def readable_tif(data: bytes) -> bytes:
    """A tif whose bands OpenCV reads as they are stored, of those that it can read.

    Of bands that are not marked as colours it would take the first alone, and it would multiply colours by an alpha
    channel that is marked as one: so bands are marked as colours, and alpha as nothing special.
    """
    try:
        tags = _tif_tags(data)
    except struct.error:
        return data  # OpenCV tells what is wrong
    bands = tags.get(TiffImagePlugin.SAMPLESPERPIXEL, _Tag()).value
    colours = tags.get(TiffImagePlugin.PHOTOMETRIC_INTERPRETATION, _Tag())
    extra = tags.get(TiffImagePlugin.EXTRASAMPLES, _Tag())
    if _beyond_colours(tags):
        return colours.set(data, RGB)
    return extra.set(data, 0) if bands == 4 and colours.value == RGB and extra.count == 1 else data


def _beyond_colours(tags: Mapping[int, "_Tag"]) -> bool:
    """Whether a tif has several bands that are not marked as colours, nor as grey and alpha."""
    bands = tags.get(TiffImagePlugin.SAMPLESPERPIXEL, _Tag()).value
    grey = tags.get(TiffImagePlugin.PHOTOMETRIC_INTERPRETATION, _Tag()).value == BLACK_IS_ZERO
    grey_and_alpha = bands == 2 and tags.get(TiffImagePlugin.EXTRASAMPLES, _Tag()).value != 0
    return bands > 4 or (bands > 1 and grey and not grey_and_alpha)


def has_fourth_band(data: bytes) -> bool:
    """Whether the fourth band of a tif is said to be something else than an alpha channel."""
    tags = _tif_tags(data)
    extra = tags.get(TiffImagePlugin.EXTRASAMPLES, _Tag())
    grey = tags.get(TiffImagePlugin.PHOTOMETRIC_INTERPRETATION, _Tag()).value == BLACK_IS_ZERO
    return grey or (extra.count == 1 and extra.value == 0)


class _Tag(NamedTuple):
    """One of a tif's tags: how many values it has, the first of them, and where it stands (if there is one only)."""

    count: int = 0
    value: int = 0
    place: int = 0

    def set(self, data: bytes, value: int) -> bytes:
        """The tif with another value, below 256."""
        order = "little" if data[:2] == b"II" else "big"
        return data[: self.place] + value.to_bytes(2, order) + data[self.place + 2 :]


def _tif_tags(data: bytes) -> dict[int, _Tag]:
    """The tags of a tif's first directory; none of what is not a tif."""
    order = {b"II": "<", b"MM": ">"}.get(data[:2])
    if order is None:
        return {}
    big = struct.unpack_from(f"{order}H", data, 2)[0] == 43
    word, counted, entry = ("Q", "Q", 20) if big else ("I", "H", 12)
    (start,) = struct.unpack_from(order + word, data, 8 if big else 4)
    (count,) = struct.unpack_from(order + counted, data, start)
    if count > 1000:
        raise struct.error("it is not a directory")
    tags, first = {}, start + struct.calcsize(order + counted)
    for place in range(first, first + entry * count, entry):
        tag, _, values = struct.unpack_from(f"{order}HH{word}", data, place)
        at = place + entry - struct.calcsize(order + word)
        tags[tag] = _Tag(values, struct.unpack_from(f"{order}H", data, at)[0], at)
    return tags


def tif_size(stream: IO[bytes]) -> tuple[int, int]:
    """``(H, W)`` from a tif's first directory; raises an UnidentifiedImageError for what is not a tif."""
    stream.seek(0)
    head = stream.read(8)
    if head[:4] not in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        raise UnidentifiedImageError("it is not an image")
    if b"+" in head[:4]:  # BigTIFF: eight more bytes
        head += stream.read(8)
    try:
        directory = TiffImagePlugin.ImageFileDirectory_v2(head)
        stream.seek(directory.next)
        directory.load(stream)
        return int(directory[TiffImagePlugin.IMAGELENGTH]), int(directory[TiffImagePlugin.IMAGEWIDTH])
    except (KeyError, struct.error) as error:
        raise UnidentifiedImageError(f"its tif header is damaged: {error}") from None
