"""Small pictures of an image, its masks and its errors, as data URIs."""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from PIL import Image

# Bytes that all pictures of a gallery may take once encoded; the rest of the page needs less than 3 MB.
GALLERY_BYTES = 20_000_000
BASE64 = 4 / 3
# What a picture of one side may take, in pixels: as much detail as the number of images allows.
SIDES = ((60, 512), (180, 384))
SMALLEST_SIDE = 256
QUALITIES = (80, 65, 50, 35, 20, 5)
UNSCORED = (90, 90, 110)
# Foreground, then classes 1 … in Okabe & Ito's colours and lighter ones; class 0 is nearly black.
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
    """Data URIs of one image: ``errors`` is transparent where nothing is wrong and lies on the image."""

    width: int
    height: int
    image: str
    truth: str
    prediction: str
    errors: str


def picture_side(count: int) -> int:
    """The longest side of each picture, in pixels, for a gallery of ``count`` images."""
    return next((side for most, side in SIDES if count <= most), SMALLEST_SIDE)


def make_pictures(
    image: np.ndarray, truth: np.ndarray, mask: np.ndarray, *, ignore_index: int, classes: int, count: int
) -> Pictures:
    """Pictures of one of ``count`` images; image uint8 RGB (H, W, 3), truth and mask uint8 (H, W).

    Masks and photograph together stay below the image's share of `GALLERY_BYTES`, the photograph by its
    quality. Images are never enlarged.
    """
    width, height = fitting_size(image.shape[:2], picture_side(count))
    colours = class_colours(classes)
    truth, mask = (_shrink_labels(labels, (width, height)) for labels in (truth, mask))
    unscored = truth == ignore_index
    masks = [
        encode_labels(np.where(unscored, len(colours), truth), [*colours, UNSCORED]),
        encode_labels(mask, colours),
        encode_labels(error_labels(truth, mask, unscored, classes), ERRORS),
    ]
    budget = GALLERY_BYTES / BASE64 / count - sum(map(len, masks))
    photograph = encode_photograph(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA), budget)
    uris = [data_uri(photograph, "webp"), *(data_uri(content, "png") for content in masks)]
    return Pictures(width, height, *uris)


def fitting_size(shape: tuple[int, int], side: int) -> tuple[int, int]:
    """(width, height) of an image (H, W) shrunk so that no side is longer than ``side``."""
    factor = min(1, side / max(shape))
    return max(1, round(shape[1] * factor)), max(1, round(shape[0] * factor))


def error_labels(truth: np.ndarray, mask: np.ndarray, unscored: np.ndarray, classes: int) -> np.ndarray:
    """Index into `ERRORS` of every pixel. Several classes: class 0 is no background, any mistake is 'wrong class'."""
    if classes > 1:
        labels = np.where(truth == mask, 0, 4)
    else:
        labels = np.where(mask > 0, np.where(truth > 0, 1, 2), np.where(truth > 0, 3, 0))
    return np.where(unscored, 5, labels)


def class_colours(classes: int) -> list[tuple[int, int, int]]:
    """One colour per value of a mask; they repeat where there are more classes than colours."""
    if classes == 1:
        return list(BINARY)
    return [CLASSES[number % len(CLASSES)] for number in range(classes)]


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


def _shrink_labels(labels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    return cv2.resize(labels, size, interpolation=cv2.INTER_NEAREST)
