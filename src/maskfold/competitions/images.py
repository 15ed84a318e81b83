"""Bytes of image files to arrays, nothing guessed."""

import math
import os
import posixpath
import struct
from collections.abc import Sequence
from io import BytesIO
from typing import IO, cast, get_args

import cv2
import numpy as np
from PIL import Image, Jpeg2KImagePlugin, UnidentifiedImageError

from maskfold.competitions.channels import Channel, make_channels
from maskfold.competitions.decoders import decoding
from maskfold.competitions.dicom import DICOM_SUFFIXES, dicom_size, read_dicom
from maskfold.competitions.tif import TIF_SUFFIXES, as_stored, has_fourth_band, read_bands, readable_tif, tif_size
from maskfold.errors import CompetitionError
from maskfold.images import PLAIN, ImageSpec, PixelType
from maskfold.program import command_line

# Types that no profile names: float32 holds all their values.
NARROW = tuple(map(np.dtype, ("int8", "int16", "float16")))
IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".jp2", ".webp", ".npy"}) | DICOM_SUFFIXES
# Formats of which windows can be read; what is larger than this, in pixels, is not read in another way.
RASTER_SUFFIXES = TIF_SUFFIXES | {".jp2"}
# The decoder itself can give red, green and blue, which saves a pass over the pixels; turned as they are stored.
COLOUR = cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION
ENDS = {".jpg": b"\xff\xd9", ".jpeg": b"\xff\xd9", ".png": b"IEND"}  # marks that a whole file ends with
TAIL = 4096  # last bytes in which they are looked for: some programs write more behind them
MOST_PIXELS = 89_478_485  # unless the config says otherwise; from here on Pillow suspects a decompression bomb
if "OPENCV_LOG_LEVEL" not in os.environ:  # it warns of every tag of a GeoTIFF; what it cannot read is an error anyway
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_ERROR)


def decode_image(data: bytes, name: str, spec: ImageSpec = PLAIN) -> np.ndarray:
    """Array ``(H, W, C)`` of ``spec.dtype``, channels in the file's order (RGB, RGBA).

    Where ``spec`` has three channels, grey is repeated and an alpha channel is dropped. EXIF rotation is not applied
    (masks are drawn on the stored pixels).

    Raises:
        CompetitionError: not an image, one that does not fit ``spec``, or values that are no numbers.
    """
    image = grey_repeated(_read(data, name), spec)
    if spec.channels == 3 and image.shape[2] == 4 and not (_suffix(name) in TIF_SUFFIXES and has_fourth_band(data)):
        image = image[..., :3]
    return _fitting(image, name, spec)


def grey_repeated(image: np.ndarray, spec: ImageSpec) -> np.ndarray:
    """An image (H, W, C); (H, W, 3) of a grey one where ``spec`` has three channels."""
    return np.repeat(image, 3, axis=2) if spec.channels == 3 and image.shape[2] == 1 else image


def decode_files(
    files: Sequence[tuple[str, bytes]], spec: ImageSpec = PLAIN, channels: Sequence[Channel] = ()
) -> np.ndarray:
    """`decode_image` of (name, content), or of several, whose channels follow each other as they are stored.

    ``channels`` says how the image's are made of those; without any they are the image's.

    Raises:
        CompetitionError: as `decode_image`; files of different sizes or types, or without a channel that is asked for.
    """
    if len(files) == 1 and not channels:
        return decode_image(files[0][1], files[0][0], spec)
    parts = [_read(data, name) for name, data in files]
    (first, _), whole = files[0], parts[0]
    for (name, _), part in zip(files, parts, strict=True):
        if part.shape[:2] != whole.shape[:2] or part.dtype != whole.dtype:
            (height, width), (rows, columns) = part.shape[:2], whole.shape[:2]
            raise CompetitionError(
                f"{name} is {height}x{width} (height x width) of {part.dtype}, {first} is {rows}x{columns} of "
                f"{whole.dtype}: the files of an image must be of one size and type"
            )
    names = " + ".join(name for name, _ in files)
    stored = np.concatenate(parts, axis=2)
    return _fitting(make_channels(stored, channels, names) if channels else stored, names, spec)


def _read(data: bytes, name: str) -> np.ndarray:
    if _suffix(name) in DICOM_SUFFIXES:
        return read_dicom(data, name)
    image = read_npy(data, name) if _suffix(name) == ".npy" else _read_picture(data, name)
    return image.astype(np.float32) if image.dtype in NARROW else image


def check_fits(image: np.ndarray, name: str, spec: ImageSpec) -> None:
    """Refuse an image (H, W, C) that is not as ``spec`` says.

    Raises:
        CompetitionError: another type or number of channels; the message says what to write into the profile.
    """
    if image.dtype != spec.dtype or image.shape[2] != spec.channels:
        kind = next((kind for kind in get_args(PixelType) if image.dtype == kind), None)
        found = None if kind is None else ImageSpec(image.shape[2], kind)
        advice = f"write {found} into the profile" if found else "convert the images to uint8, uint16 or float32"
        held = image.shape[2] if found is None else found.channels
        raise CompetitionError(
            f"{name} has {held} channel{'s' * (held != 1)} of {image.dtype}, the profile expects {spec.channels} of "
            f"{spec.dtype}: {advice} (scale is the value that means 1.0)"
        )


def _fitting(image: np.ndarray, name: str, spec: ImageSpec) -> np.ndarray:
    check_fits(image, name, spec)
    if image.dtype.kind == "f" and not np.isfinite([image.min(), image.max()]).all():  # NaN is both
        count = image.size - np.count_nonzero(np.isfinite(image))
        raise CompetitionError(
            f"{name} holds NaN or infinity in {count} of {image.size} values, and a network would answer with NaN: "
            "write numbers there, such as the mean of the channel (numpy.nan_to_num)"
        )
    return np.ascontiguousarray(image)


def image_size(stream: IO[bytes], name: str) -> tuple[int, int]:
    """``(H, W)`` from the file's header; nothing else is read."""
    with decoding(f"the size of {name} cannot be read"):
        if _suffix(name) == ".npy":
            shape, _, _ = _npy_header(stream, name)
            return shape[0], shape[1]
        if _suffix(name) in DICOM_SUFFIXES:
            return dicom_size(stream, name)
        if _suffix(name) in RASTER_SUFFIXES and (size := _raster_size(stream)):
            return size
        stream.seek(0)
        try:
            with Image.open(stream) as image:
                return image.height, image.width
        except UnidentifiedImageError:
            return tif_size(stream)  # of kinds of pixels that Pillow does not know
        except Image.DecompressionBombError as error:
            raise CompetitionError(
                f"the size of {name} cannot be read: {error} If it is meant, write it as tif, which is read by windows"
            ) from None


def has_its_end(stream: IO[bytes], name: str) -> bool:
    """Whether a jpg or png ends as its format does, by its last bytes; of other formats nothing is said.

    A file without that need not be damaged, but one that was cut off is without it.
    """
    mark = ENDS.get(_suffix(name))
    if mark is None:
        return True
    stream.seek(max(0, stream.seek(0, os.SEEK_END) - TAIL))
    return mark in stream.read()


def is_image(name: str) -> bool:
    """Whether a file's name has the suffix of an image."""
    return _suffix(name) in IMAGE_SUFFIXES


def check_whole(name: str, size: tuple[int, int], most: int) -> None:
    """Refuse to read an image of ``size`` (H, W) whole that has more than ``most`` pixels.

    Raises:
        CompetitionError: it is.
    """
    if not is_too_large(name, size, most):
        return
    found = f"{name} is {size[0]}x{size[1]} (height x width), too large to be read whole (at most {most:,} pixels)"
    if _suffix(name) in RASTER_SUFFIXES:
        raise CompetitionError(
            f"{found}: cut training images into tiles with {command_line('tile', 'cut')}; {command_line('predict')} "
            "reads test images by windows"
        )
    raise CompetitionError(
        f"{found}: is it a decompression bomb? If it is not, raise competition.max_pixels, or write it as tif, which "
        "is read by windows"
    )


def is_large(size: tuple[int, int], most: int) -> bool:
    """Whether so many pixels as ``size`` (H, W) says are more than ``most``."""
    return math.prod(size) > most


def is_too_large(name: str, size: tuple[int, int], most: int) -> bool:
    """Whether an image of ``size`` (H, W) is not read whole: `is_large`, and packed, as all but npy are."""
    return is_large(size, most) and _suffix(name) != ".npy"


def _raster_size(stream: IO[bytes]) -> tuple[int, int] | None:
    """``(H, W)`` of a tif or jp2 of any size; `None`: it is something else."""
    try:
        return tif_size(stream)
    except (UnidentifiedImageError, struct.error):
        stream.seek(0)
    try:
        width, height = Jpeg2KImagePlugin.Jpeg2KImageFile(stream).size
    except (SyntaxError, OSError):
        return None
    return height, width


def _suffix(name: str) -> str:
    return posixpath.splitext(name)[1].lower()  # pathlib takes longer than a small image does


def stored_spec(data: bytes, name: str) -> ImageSpec:
    """How an image is stored: its channels and type, whatever a profile says.

    Raises:
        CompetitionError: not an image, or of a type that no profile can name.
    """
    image = _read(data, name)
    if str(image.dtype) not in get_args(PixelType):
        raise CompetitionError(f"{name} holds {image.dtype}: convert the images to uint8, uint16 or float32")
    return ImageSpec(image.shape[2], cast("PixelType", str(image.dtype)))


def _read_picture(data: bytes, name: str) -> np.ndarray:
    if _suffix(name) in TIF_SUFFIXES:
        bands = read_bands(data, name)
        if bands is not None:
            return bands
        data = readable_tif(as_stored(data))
    flags = COLOUR if _is_colour_jpeg(data) else cv2.IMREAD_UNCHANGED
    with decoding(f"{name} is not an image that OpenCV can read"):
        whole = bool(data) and _has_its_chunks(data)
        image = cv2.imdecode(np.frombuffer(data, np.uint8), flags) if whole else None
    if image is None:
        raise CompetitionError(f"{name} is not an image that OpenCV can read: is it damaged or incomplete?")
    if image.ndim == 2:
        return image[..., None]
    conversions = {3: cv2.COLOR_BGR2RGB, 4: cv2.COLOR_BGRA2RGBA}
    known = flags == cv2.IMREAD_UNCHANGED and image.shape[2] in conversions
    return cv2.cvtColor(image, conversions[image.shape[2]]) if known else image


def _is_colour_jpeg(data: bytes) -> bool:
    """Whether a jpg has three components: its header is looked for as far as its segments go."""
    place = 2 if data[:2] == b"\xff\xd8" else len(data)
    while place + 9 < len(data) and data[place] == 0xFF:
        marker = data[place + 1]
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):  # a frame, of whatever process
            return data[place + 9] == 3
        place += 2 + int.from_bytes(data[place + 2 : place + 4], "big")
    return False


def _has_its_chunks(data: bytes) -> bool:
    """Whether a png holds all that its chunks say they hold; of other formats nothing is said.

    OpenCV believes a chunk's length: for one of gigabytes in a file of a few bytes it allocates them, for minutes.
    """
    if not data.startswith(b"\x89PNG\r\n\x1a\n"):
        return True
    place = 8
    while place + 12 <= len(data):
        kind, place = data[place + 4 : place + 8], place + 12 + int.from_bytes(data[place : place + 4], "big")
        if kind == b"IEND":
            break
    return place <= len(data)


def read_npy(data: bytes, name: str) -> np.ndarray:
    """``(H, W, C)`` of an npy file of two or three axes; nothing is unpickled.

    Raises:
        CompetitionError: another file, shape or dtype, or one that is not whole.
    """
    stream = BytesIO(data)
    shape, dtype, fortran = _npy_header(stream, name)
    values = np.frombuffer(data, dtype, offset=stream.tell())
    image = values.reshape(shape, order="F" if fortran else "C")
    image = image.astype(dtype.newbyteorder("="), copy=False)
    return image[..., None] if image.ndim == 2 else image


def _npy_header(stream: IO[bytes], name: str) -> tuple[tuple[int, ...], np.dtype, bool]:
    """Shape, dtype and whether the order is Fortran's; nothing is unpickled, no memory is allocated on its word."""
    with decoding(f"{name} is not an npy file"):
        version = np.lib.format.read_magic(stream)
        readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
        shape, fortran, dtype = readers[version](stream)
    if dtype.kind not in "uifb" or len(shape) not in (2, 3) or 0 in shape:
        raise CompetitionError(f"{name} holds {dtype} of shape {shape}, expected numbers of shape (H, W) or (H, W, C)")
    start = stream.tell()
    held = stream.seek(0, 2) - start
    stream.seek(start)
    if held != math.prod(shape) * dtype.itemsize:
        raise CompetitionError(f"{name} is not whole: {held} bytes of pixels, expected {shape} of {dtype}")
    return shape, dtype, fortran
