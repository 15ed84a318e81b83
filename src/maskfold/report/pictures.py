"""Small pictures of an image, its masks and its errors, as data URIs."""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageFilter

BASE64 = 4 / 3
# What a picture of one side may take, in pixels: as much detail as the number of images allows.
SIDES = ((60, 512), (180, 384))
SMALLEST_SIDE = 256
QUALITIES = (80, 65, 50, 35, 20, 5)
BLURS = (0.7, 1.2, 2)


@dataclass(frozen=True)
class Pictures:
    """Data URIs of one image.

    Attributes:
        errors: transparent where nothing is wrong; it covers the image.
        evidence: `maskfold.report.evidence`.
        further: what else is shown, by its name: objects, shares of annotators.
        rings: centres (x, y) of errors too small to see, as shares of width and height.
    """

    width: int
    height: int
    image: str
    truth: str
    prediction: str
    errors: str
    evidence: str
    further: dict[str, str]
    rings: list[tuple[float, float]]


def picture_side(count: int) -> int:
    """The longest side of each picture, in pixels, for a gallery of ``count`` images."""
    return next((side for most, side in SIDES if count <= most), SMALLEST_SIDE)


def encode_labels(labels: np.ndarray, colours: Sequence[tuple[int, ...]]) -> bytes:
    """A palette PNG of labels (H, W) below 256, each in its colour (RGB, or RGB and opacity)."""
    picture = Image.fromarray(labels.astype(np.uint8)).convert("L")
    picture.putpalette([value for colour in colours for value in colour[:3]])
    opacity = bytes(colour[3] if len(colour) > 3 else 255 for colour in colours)
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", optimize=True, transparency=opacity)
    return buffer.getvalue()


def encode_photograph(image: np.ndarray, budget: float) -> bytes:
    """WebP of uint8 RGB (H, W, 3), of the best quality whose size fits ``budget`` bytes, else of the lowest.

    What is noise does not fit in any quality; then it is blurred, as little as needed.
    """
    picture = Image.fromarray(image)
    for quality, sigma in (*((quality, 0) for quality in QUALITIES), *((QUALITIES[-1], sigma) for sigma in BLURS)):
        buffer = io.BytesIO()
        shown = picture.filter(ImageFilter.GaussianBlur(sigma)) if sigma else picture
        shown.save(buffer, "WEBP", quality=quality, method=2)
        if buffer.tell() <= budget:
            break
    return buffer.getvalue()


def data_uri(content: bytes, kind: str) -> str:
    """``content`` for an ``src`` attribute."""
    return f"data:image/{kind};base64,{base64.b64encode(content).decode('ascii')}"
