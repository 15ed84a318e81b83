"""Small pictures of an image, its masks and its errors, as data URIs."""

import base64
import colorsys
import io
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from PIL import Image

from maskfold.labels import Label, LabelSpec

# Bytes that all pictures of a gallery may take once encoded; the rest of the page needs less than 3 MB.
GALLERY_BYTES = 20_000_000
BASE64 = 4 / 3
# What a picture of one side may take, in pixels: as much detail as the number of images allows.
SIDES = ((60, 512), (180, 384))
SMALLEST_SIDE = 256
QUALITIES = (80, 65, 50, 35, 20, 5)
UNSCORED = (90, 90, 110)
# Foreground, then classes 1 … in Okabe & Ito's colours and lighter ones; class 0 is nearly black.
FOREGROUND = LabelSpec("binary", ("foreground",))
BINARY = ((18, 24, 34), (240, 240, 235))
CLASSES = (
    (18, 24, 34), (230, 159, 0), (86, 180, 233), (0, 158, 115), (240, 228, 66), (0, 114, 178), (213, 94, 0),
    (204, 121, 167), (170, 170, 170), (150, 90, 30), (180, 240, 160), (140, 120, 230), (255, 190, 190),
)  # fmt: skip
# Red, green, blue and opacity of: right background, right foreground, too much, missed, wrong class, unscored.
ERRORS = (
    (0, 0, 0, 0), (255, 255, 255, 70), (213, 94, 0, 210), (86, 180, 233, 210), (240, 60, 200, 200), (*UNSCORED, 150),
)  # fmt: skip


@dataclass(frozen=True)
class Pictures:
    """Data URIs of one image: ``errors`` is transparent where nothing is wrong and covers the image."""

    width: int
    height: int
    image: str
    truth: str
    prediction: str
    errors: str


def picture_side(count: int) -> int:
    """The longest side of each picture, in pixels, for a gallery of ``count`` images."""
    return next((side for most, side in SIDES if count <= most), SMALLEST_SIDE)


def make_pictures(image: np.ndarray, truth: Label, mask: np.ndarray, *, labels: LabelSpec, count: int) -> Pictures:
    """Pictures of one of ``count`` images; image uint8 RGB (H, W, 3), truth and mask as ``labels`` has them.

    Masks and photograph together stay below the image's share of `GALLERY_BYTES`, the photograph by its
    quality. Images are never enlarged.
    """
    width, height = fitting_size(image.shape[:2], picture_side(count))
    colours = [colour for colour, _ in class_colours(labels)]
    drawn = [
        (np.where(truth.valid, colour_numbers(labels, truth.values), len(colours)), [*colours, UNSCORED]),
        (colour_numbers(labels, mask), colours),
        (error_numbers(labels, truth, mask), ERRORS),
    ]
    masks = [encode_labels(_shrink_labels(numbers, (width, height)), palette) for numbers, palette in drawn]
    budget = GALLERY_BYTES / BASE64 / count - sum(map(len, masks))
    photograph = encode_photograph(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA), budget)
    uris = [data_uri(photograph, "webp"), *(data_uri(content, "png") for content in masks)]
    return Pictures(width, height, *uris)


def fitting_size(shape: tuple[int, int], side: int) -> tuple[int, int]:
    """(width, height) of an image (H, W) shrunk so that no side is longer than ``side``."""
    factor = min(1, side / max(shape))
    return max(1, round(shape[1] * factor)), max(1, round(shape[0] * factor))


def error_numbers(labels: LabelSpec, truth: Label, mask: np.ndarray) -> np.ndarray:
    """Index (H, W) into `ERRORS` of every pixel. Several classes: a mistake in any of them is 'wrong class'."""
    if labels.task == "binary":
        true, found = labels.foreground(truth.values), labels.foreground(mask)
        numbers = np.where(found, np.where(true, 1, 2), np.where(true, 3, 0))
    else:
        numbers = np.where(labels.differ(truth.values, mask), 4, 0)
    return np.where(truth.valid, numbers, 5)


def class_colours(labels: LabelSpec) -> list[tuple[tuple[int, int, int], str]]:
    """Colour and name of all that a mask's picture shows.

    Classes that overlap have a colour for pixels of none of them first.
    """
    names = ("none of them", *labels.class_names) if labels.task == "multilabel" else labels.value_names
    palette = BINARY if labels.task == "binary" else CLASSES
    return [(palette[place] if place < len(palette) else _further(place), name) for place, name in enumerate(names)]


def _further(number: int) -> tuple[int, int, int]:
    """A colour beyond those chosen by hand: hues a golden section apart, in turn strong, pale and dark."""
    saturation, value = ((0.85, 0.9), (0.45, 1.0), (0.9, 0.55))[number % 3]
    red, green, blue = colorsys.hsv_to_rgb(number * 0.618034 % 1, saturation, value)
    return round(255 * red), round(255 * green), round(255 * blue)


def colour_numbers(labels: LabelSpec, mask: np.ndarray) -> np.ndarray:
    """Index (H, W) into `class_colours` of every pixel of a mask; where classes overlap, the last one's."""
    if labels.task != "multilabel":
        return mask
    return (mask * np.arange(1, labels.channels + 1)[:, None, None]).max(0)


def encode_labels(labels: np.ndarray, colours: Sequence[tuple[int, ...]]) -> bytes:
    """A palette PNG of labels (H, W) below 256, each in its colour (RGB, or RGB and opacity)."""
    picture = Image.fromarray(labels.astype(np.uint8)).convert("L")
    picture.putpalette([value for colour in colours for value in colour[:3]])
    opacity = bytes(colour[3] if len(colour) > 3 else 255 for colour in colours)
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", optimize=True, transparency=opacity)
    return buffer.getvalue()


def encode_photograph(image: np.ndarray, budget: float) -> bytes:
    """WebP of uint8 RGB (H, W, 3), of the best quality whose size fits ``budget`` bytes, else of the lowest."""
    picture = Image.fromarray(image)
    for quality in QUALITIES:
        buffer = io.BytesIO()
        picture.save(buffer, "WEBP", quality=quality, method=2)
        if buffer.tell() <= budget:
            break
    return buffer.getvalue()


def data_uri(content: bytes, kind: str) -> str:
    """``content`` for an ``src`` attribute."""
    return f"data:image/{kind};base64,{base64.b64encode(content).decode('ascii')}"


def _shrink_labels(numbers: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    return cv2.resize(numbers.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST)
