"""What tifs of bands need before and beside OpenCV and Pillow, which think of colours."""

import struct
from typing import IO, NamedTuple

from PIL import TiffImagePlugin, UnidentifiedImageError

from maskfold.errors import CompetitionError

TIF_SUFFIXES = frozenset({".tif", ".tiff"})
# Values of a tif's tag PhotometricInterpretation.
BLACK_IS_ZERO, RGB = 1, 2


def readable_tif(data: bytes, name: str) -> bytes:
    """A tif whose bands OpenCV reads as they are stored.

    Of bands that are not marked as colours it would take the first alone, and it would multiply colours by an alpha
    channel that is marked as one: so bands are marked as colours, and alpha as nothing special.

    Raises:
        CompetitionError: a number of bands, or an order of them in the file, that OpenCV cannot read.
    """
    try:
        tags = _tif_tags(data)
    except struct.error:
        return data  # OpenCV tells what is wrong
    bands = tags.get(TiffImagePlugin.SAMPLESPERPIXEL, _Tag()).value
    colours = tags.get(TiffImagePlugin.PHOTOMETRIC_INTERPRETATION, _Tag())
    extra = tags.get(TiffImagePlugin.EXTRASAMPLES, _Tag())
    grey_and_alpha = bands == 2 and extra.value != 0
    if bands > 4 or (bands > 1 and colours.value == BLACK_IS_ZERO and not grey_and_alpha):
        if bands not in (3, 4) or tags.get(TiffImagePlugin.PLANAR_CONFIGURATION, _Tag()).value == 2:
            how = "bands that stand one after the other" if bands in (3, 4) else f"{bands} bands"
            raise CompetitionError(
                f"{name} is a tif of {how}: tifs have 1, 3 or 4 bands, pixel by pixel; save others as npy (H, W, C)"
            )
        return colours.set(data, RGB)
    return extra.set(data, 0) if bands == 4 and colours.value == RGB and extra.count == 1 else data


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
