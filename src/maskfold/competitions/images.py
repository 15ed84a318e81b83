"""Bytes of image and label files to arrays, nothing guessed."""

from io import BytesIO
from typing import BinaryIO

import cv2
import numpy as np
from PIL import Image, UnidentifiedImageError

from maskfold.errors import CompetitionError, first_few

IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp"})


def decode_image(data: bytes, name: str) -> np.ndarray:
    """uint8 RGB ``(H, W, 3)``.

    Grey is repeated, an alpha channel is dropped, EXIF rotation is not applied (masks are drawn on the stored pixels).

    Raises:
        CompetitionError: not an image, or not 8 bits per channel.
    """
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED) if data else None
    if image is None:
        raise CompetitionError(f"{name} is not an image that OpenCV can read: is it damaged or incomplete?")
    if image.dtype != np.uint8:
        raise CompetitionError(
            f"{name} has {image.dtype} pixels, expected 8 bits per channel: convert the images, choosing the "
            "range of values that carries the content"
        )
    channels = 1 if image.ndim == 2 else image.shape[2]
    conversions = {1: cv2.COLOR_GRAY2RGB, 3: cv2.COLOR_BGR2RGB, 4: cv2.COLOR_BGRA2RGB}
    if channels not in conversions:
        raise CompetitionError(f"{name} has {channels} channels, expected grey, RGB or RGB with alpha")
    return cv2.cvtColor(image, conversions[channels])


def image_size(stream: BinaryIO, name: str) -> tuple[int, int]:
    """``(H, W)`` from the file's header."""
    try:
        with Image.open(stream) as image:
            return image.height, image.width
    except (UnidentifiedImageError, OSError, Image.DecompressionBombError) as error:
        raise CompetitionError(f"the size of {name} cannot be read: {error}") from None


def decode_binary(data: bytes, name: str) -> np.ndarray:
    """uint8 ``(H, W)`` of 0 and 1 from a mask file of 0/255 or 0/1.

    Raises:
        CompetitionError: not a grey image, or other values (they are listed).
    """
    mask = _decode_values(data, name, by_colour=True)
    values = set(_present(mask))
    if not (values <= {0, 255} or values <= {0, 1}):
        raise CompetitionError(
            f"{name} holds the values {first_few(sorted(values), 8)}, expected 0 and 255 or 0 and 1: "
            "write it without anti-aliasing, as png"
        )
    return (mask != 0).astype(np.uint8)


def decode_classes(data: bytes, name: str, num_classes: int) -> np.ndarray:
    """uint8 ``(H, W)`` of classes 0..num_classes-1, and 255 where nothing is scored.

    Raises:
        CompetitionError: not a grey or palette image, or other values (they are listed).
    """
    label = _decode_values(data, name, by_colour=False)
    wrong = [value for value in _present(label) if num_classes <= value < 255]
    if wrong:
        raise CompetitionError(
            f"{name} holds the values {first_few(wrong, 8)}, expected classes 0..{num_classes - 1} "
            "and 255 (not scored): are there more classes than class_names?"
        )
    return label


def _decode_values(data: bytes, name: str, *, by_colour: bool) -> np.ndarray:
    """One uint8 channel. A palette file means its colours where they are grey, or else its indices."""
    try:
        with Image.open(BytesIO(data)) as image:
            if image.mode == "P" and by_colour and _grey_palette(image):
                image = image.convert("L")
            values = np.array(image)
    except (UnidentifiedImageError, OSError, Image.DecompressionBombError) as error:
        raise CompetitionError(f"{name} cannot be read as a mask: {error}") from None
    if values.ndim == 3:
        colours = values[..., :3] if values.shape[2] >= 3 else values[..., :1]
        if (colours != colours[..., :1]).any():
            raise CompetitionError(f"{name} is a colour image, expected a mask of one channel")
        values = colours[..., 0]
    if values.dtype != np.uint8 and (values.min() < 0 or values.max() > 255):
        raise CompetitionError(f"{name} has {values.dtype} pixels up to {values.max()}, expected 0..255")
    return np.ascontiguousarray(values, dtype=np.uint8)


def _grey_palette(image: Image.Image) -> bool:
    colours = image.convert("RGB").getcolors()  # at most 256 in a palette file, so never None
    return all(red == green == blue for _, (red, green, blue) in colours)


def _present(values: np.ndarray) -> list[int]:
    return np.flatnonzero(np.bincount(values.ravel(), minlength=256)).tolist()
