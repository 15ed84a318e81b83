"""Scenes of dark ground and bright objects, and how competitions store them: in files of images, and as run lengths."""

import itertools
import struct
from pathlib import Path

import cv2
import numpy as np
from PIL import Image


def draw_scene(seed, size, counts):
    """uint8 (H, W, 3) RGB, and for each class a list of bool masks, one for each of its ``counts`` objects.

    Objects of a class neither overlap nor touch; those of two classes may overlap.
    """
    rng = np.random.default_rng(seed)
    image = rng.normal((60, 70, 50), 8, (*size, 3))
    classes = []
    for place, count in enumerate(counts):
        objects, taken = [], np.zeros(size, bool)
        while len(objects) < count:
            top, left = rng.integers(0, size[0] - 7), rng.integers(0, size[1] - 9)
            mask = np.zeros(size, bool)
            mask[top : top + rng.integers(4, 8), left : left + rng.integers(4, 10)] = True
            mask[top, left] = False  # no rectangle, so that order and origin of the pixels show
            if not (cv2.dilate(mask.astype(np.uint8), np.ones((3, 3))) & taken).any():
                objects.append(mask)
                taken |= mask
        for mask in objects:
            image[mask, place % 3] += 110
        classes.append(objects)
    return image.clip(0, 255).astype(np.uint8), classes


def joined(objects, size):
    """All objects of a class in one mask."""
    return np.any(objects, axis=0) if objects else np.zeros(size, bool)


def run_lengths(mask, *, order="F", relative=False):
    """Runs by itertools, independent of maskfold.rle: 1-based, or counted from the end of the run before."""
    position, end, tokens = 0, 0, []
    for value, run in itertools.groupby(mask.ravel(order=order).tolist()):
        length = len(list(run))
        if value:
            tokens += [position - end if relative else position + 1, length]
            end = position + length
        position += length
    return " ".join(map(str, tokens))


def grey(scene):
    """uint8 (H, W)."""
    return scene.mean(2).astype(np.uint8)


def picture(path, pixels):
    """Write pixels (H, W) or (H, W, 3) as the suffix says; returns what reading them must give, (H, W, C)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    read = np.asarray(Image.open(path))  # a jpg is not what was saved
    return read[..., None] if read.ndim == 2 else read


def rgb(root, path, scene):
    return picture(root / path, scene)


def rgba(root, path, scene):
    picture(root / path, np.dstack([scene, np.full(scene.shape[:2], 255, np.uint8)]))
    return scene


def grey_as_rgb(root, path, scene):
    return np.repeat(picture(root / path, grey(scene)), 3, axis=2)


def grey_16_bits(root, path, scene):
    """As scans of magnetic resonance are: of 16 bits they use a small part."""
    return picture(root / path, grey(scene).astype(np.uint16) * 60)


def layers(root, path, scene):
    """65 tifs of 16 bits, of which those from 24 to 39 are channels."""
    depth = np.arange(65, dtype=np.uint16)[:, None, None] * 100
    stack = grey(scene).astype(np.uint16)[None] * 120 + depth
    for place, layer in enumerate(stack):
        picture(root / path / f"{place:02}.tif", layer)
    return np.moveaxis(stack[24:40], 0, 2)


def bands(root, path, scene):
    """Nine bands of eight moments as brightness temperatures; of the fifth the false colours are made."""
    (root / path).mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(int(scene.sum()))
    stack = {}
    for band in range(8, 17):
        warm = 250 + 20 * rng.random((*scene.shape[:2], 8)) + scene[..., :1] / 100 * (band == 15)
        stack[band] = warm.astype(np.float32)
        np.save(root / path / f"band_{band:02}.npy", stack[band])
    then = {band: values[..., 4] for band, values in stack.items()}
    red = (then[15] - then[14] + 4) / 6
    green = (then[14] - then[11] + 4) / 9
    blue = (then[14] - 243) / 60
    return np.clip(np.stack([red, green, blue], axis=2), 0, 1)


def dicom(root, path, scene):
    """Explicit VR, little endian, uncompressed: a DICOM file from its bytes."""
    pixels = grey(scene)
    ui = ((0x0008, 0x0016, b"UI", b"1.2.840.10008.5.1.4.1.1.7\0"), (0x0008, 0x0018, b"UI", b"1.2.3\0"))
    short = lambda group, element, value: (group, element, b"US", struct.pack("<H", value))  # noqa: E731
    body = [
        *ui,
        short(0x0028, 0x0002, 1),
        (0x0028, 0x0004, b"CS", b"MONOCHROME2 "),
        short(0x0028, 0x0010, pixels.shape[0]),
        short(0x0028, 0x0011, pixels.shape[1]),
        short(0x0028, 0x0100, 8),
        short(0x0028, 0x0101, 8),
        short(0x0028, 0x0102, 7),
        short(0x0028, 0x0103, 0),
    ]
    syntax = _element(0x0002, 0x0010, b"UI", b"1.2.840.10008.1.2.1\0")
    meta = _element(0x0002, 0x0000, b"UL", struct.pack("<I", len(syntax))) + syntax
    data = pixels.tobytes() + b"\0" * (pixels.size % 2)
    tail = struct.pack("<HH2sHI", 0x7FE0, 0x0010, b"OB", 0, len(data)) + data
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_bytes(b"\0" * 128 + b"DICM" + meta + b"".join(_element(*item) for item in body) + tail)
    return np.repeat(pixels[..., None], 3, axis=2)


def _element(group, element, kind, value):
    return struct.pack("<HH2sH", group, element, kind, len(value)) + value


def write_lines(path: Path, lines):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines))
