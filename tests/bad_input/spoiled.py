"""Files that are wrong in one way each, as bytes."""

import io
import struct
import zlib

import cv2
import numpy as np
from PIL import Image

SIZE = (20, 24)  # (H, W)


def pixels(seed, size=SIZE):
    """A noisy picture, uint8 (H, W, 3)."""
    return np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8)


def png(array):
    return cv2.imencode(".png", array)[1].tobytes()


def saved(image, kind, **options):
    """A Pillow image as a file."""
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def jpeg(seed, mode="RGB", **options):
    return saved(Image.fromarray(pixels(seed)).convert(mode), "jpeg", quality=95, **options)


def turned(seed):
    """A JPEG that says of itself that it is to be shown turned by 90 degrees."""
    exif = Image.Exif()
    exif[0x0112] = 6
    return jpeg(seed, exif=exif)


def animated(seed):
    frames = [Image.fromarray(pixels(seed + n)) for n in range(3)]
    return saved(frames[0], "png", save_all=True, append_images=frames[1:])


def chunk(kind, body):
    whole = kind + body
    return struct.pack(">I", len(body)) + whole + struct.pack(">I", zlib.crc32(whole))


def flipped(content, place):
    """With one bit turned over."""
    return content[:place] + bytes([content[place] ^ 8]) + content[place + 1 :]


def npy(array):
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def pages(seed):
    frames = [Image.fromarray(pixels(seed + n)) for n in range(2)]
    return saved(frames[0], "tiff", save_all=True, append_images=frames[1:])


def huge():
    """A png of a few bytes whose header says 30,000 x 40,000 pixels."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 40_000, 30_000, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b"")


def with_text_bomb(seed):
    """A png with a packed text chunk of more than Pillow unpacks."""
    content = png(pixels(seed))
    return content[:33] + chunk(b"zTXt", b"note\0\0" + zlib.compress(b"x" * (2 << 20))) + content[33:]


def rgba(colour, alpha):
    """A png of four channels, of masks of 0 and 1."""
    return png(np.dstack([colour * 255] * 3 + [alpha * 255]).astype(np.uint8))


def shape(size=SIZE):
    """A mask, uint8 0/1."""
    mask = np.zeros(size, np.uint8)
    mask[3:9, 5:17] = 1
    return mask
