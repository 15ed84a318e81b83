"""Crops, flips and colours in as few passes over the pixels as they need; what comes out is albumentations' own.

Parameters are drawn as the transforms draw them, in their order. Only how they are applied is another: what moves
pixels is done to the crop alone and to the mask without a second one for what counts, changes of single values are
gathered in one table, hue, saturation and value are shifted in one pass, and where pixels become more, as by padding,
colours are changed before.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, cast

import albucore
import albumentations as A
import cv2
import numpy as np

from maskfold.labels import Label

Move = Callable[[np.ndarray], np.ndarray]
Colour = Callable[[np.ndarray], np.ndarray]  # each pixel by itself
MOST_CHANNELS = 4  # that OpenCV pads and transposes

# Pixels in a row, a multiple of those in vector registers: OpenCV's conversion of what is left over differs by 1.
ROW = 512

VALUES = np.arange(256, dtype=np.uint8)
HUES = VALUES.astype(np.float64)
SATURATED = np.arange(-255, 511).clip(0, 255).astype(np.uint8)  # what sums of two values are kept at
# The eight symmetries of a square as `albumentations.D4` names them, in the order in which it draws them; arrays (H, W)
# or (H, W, C).
SYMMETRIES: dict[str, Move] = {
    "e": lambda array: array,
    "r90": partial(cv2.rotate, rotateCode=cv2.ROTATE_90_COUNTERCLOCKWISE),
    "r180": partial(cv2.rotate, rotateCode=cv2.ROTATE_180),
    "r270": partial(cv2.rotate, rotateCode=cv2.ROTATE_90_CLOCKWISE),
    "v": partial(cv2.flip, flipCode=0),
    "hvt": lambda array: cv2.transpose(cv2.rotate(array, cv2.ROTATE_180)),
    "h": partial(cv2.flip, flipCode=1),
    "t": cv2.transpose,
}
DRAWN = tuple(SYMMETRIES.values())


def _drawn(transform: Any, image: np.ndarray) -> dict[str, Any]:
    params = {**transform.get_params(), "shape": image.shape}
    return {**params, **transform.get_params_dependent_on_data(params, {"image": image})}


def _padded(transform: A.PadIfNeeded, layer: np.ndarray) -> Move | None:
    params = _drawn(transform, layer)
    top, bottom, left, right = (params[f"pad_{side}"] for side in ("top", "bottom", "left", "right"))
    if not (top or bottom or left or right):
        return None
    return lambda array: cv2.copyMakeBorder(array, top, bottom, left, right, cv2.BORDER_REFLECT_101)


def _cropped(transform: A.RandomCrop, layer: np.ndarray) -> Move:
    left, top, right, bottom = _drawn(transform, layer)["crop_coords"]
    return lambda array: array[top:bottom, left:right]


def _turned(transform: A.D4, layer: np.ndarray) -> Move:
    # What Generator.choice draws of eight, without an array of their names.
    return DRAWN[transform.random_generator.integers(len(DRAWN))]


# How a transform that is applied moves the pixels of images like a layer; None: not at all.
MOVES: dict[type, Callable[[Any, np.ndarray], Move | None]] = {
    A.PadIfNeeded: _padded,
    A.RandomCrop: _cropped,
    A.HorizontalFlip: lambda transform, layer: SYMMETRIES["h"],
    A.VerticalFlip: lambda transform, layer: SYMMETRIES["v"],
    A.D4: _turned,
}


def fused(transforms: A.Compose, channels: int) -> "Fused | None":
    """`Fused` of a preset's transforms; None where there is one of which it does not know how it moves pixels."""
    known = all(type(transform) in MOVES or _of_image(transform) for transform in transforms.transforms)
    return Fused(transforms) if known and channels <= MOST_CHANNELS else None


def _of_image(transform: Any) -> bool:
    """Whether a transform, or every one of a choice, changes the image and not the mask."""
    if isinstance(transform, A.BaseCompose):
        return all(map(_of_image, transform.transforms))
    return isinstance(transform, A.ImageOnlyTransform)


class Fused:
    """Callable ``(image, label) -> (image, label)``: what ``transforms``, whose random state was set, make of them.

    The image is (H, W, C) of up to four channels, the label a mask. Neither is written to.
    """

    def __init__(self, transforms: A.Compose) -> None:
        self.transforms = transforms

    def __call__(self, image: np.ndarray, label: Label) -> tuple[np.ndarray, Label]:
        """See the class."""
        self.transforms.py_random.random()  # Compose draws whether to do anything at all
        given, layers = image, _layers(label)
        moves, colours = list[Move](), list[Colour]()  # not yet done to the image
        table: np.ndarray | None = None  # what becomes of each value, the last of the colours
        for transform in cast("list[Any]", self.transforms.transforms):
            kind, of_bytes = type(transform), image.dtype == np.uint8
            if kind in MOVES:
                move = MOVES[kind](transform, layers[0]) if transform.should_apply() else None
                if move is not None:
                    moves.append(move)
                    layers = [move(layer) for layer in layers]
            elif kind in (A.RandomBrightnessContrast, A.RandomGamma) and of_bytes:
                if transform.should_apply():
                    table = transform.apply(VALUES if table is None else table, **_drawn(transform, image))
            elif kind is A.HueSaturationValue and of_bytes:
                if transform.should_apply():
                    colours += [*_lookup(table, given), partial(_shifted, params=transform.get_params())]
                    table = None
            else:
                image = _done(image, moves, [*colours, *_lookup(table, given)], layers[0])
                moves, colours, table = [], [], None
                image = transform(image=np.ascontiguousarray(image))["image"]
        image = _done(image, moves, [*colours, *_lookup(table, given)], layers[0])
        return image, _label(label, [np.ascontiguousarray(layer) for layer in layers])


def _done(image: np.ndarray, moves: Sequence[Move], colours: Sequence[Colour], layer: np.ndarray) -> np.ndarray:
    """Moves and colours of an image, which gets a layer's size: first what leaves the fewer pixels for the other."""
    if not colours or layer.size <= image.shape[0] * image.shape[1]:
        return _coloured(_moved(image, moves), colours)
    pixels = _coloured(_in_rows(image), colours).reshape(-1)
    return _moved(pixels[: image.size].reshape(image.shape), moves)


def _in_rows(image: np.ndarray) -> np.ndarray:
    """An image's pixels in rows that OpenCV rounds as it does those of a crop; the last one is filled up."""
    rows = np.zeros((-(-image.size // (ROW * image.shape[2])), ROW, image.shape[2]), image.dtype)
    rows.reshape(-1)[: image.size] = image.reshape(-1)
    return rows


def _coloured(image: np.ndarray, colours: Sequence[Colour]) -> np.ndarray:
    for colour in colours:
        image = colour(image)
    return image


def _moved(image: np.ndarray, moves: Sequence[Move]) -> np.ndarray:
    for move in moves:
        moved = move(image)
        image = moved.reshape(*moved.shape[:2], -1)  # OpenCV drops an axis of one channel
    return image


def _lookup(table: np.ndarray | None, given: np.ndarray) -> list[Colour]:
    return [] if table is None else [partial(_looked_up, table=table, given=given)]


def _looked_up(image: np.ndarray, table: np.ndarray, given: np.ndarray) -> np.ndarray:
    """What the table says of each value, in place where the pixels are not those that were ``given``."""
    pixels = np.ascontiguousarray(image)
    # Not cv2.LUT, which looks up one byte at a time.
    return albucore.sz_lut(pixels, table.reshape(-1), inplace=not np.may_share_memory(pixels, given))


def _shifted(image: np.ndarray, params: dict[str, float]) -> np.ndarray:
    """`albumentations.HueSaturationValue`, whose changes of saturation and value are tables here, too."""
    hue, saturation, value = (params[f"{name}_shift"] for name in ("hue", "sat", "val"))
    if hue == 0 and saturation == 0 and value == 0:
        return image
    hues = np.mod(HUES + hue, 180).astype(np.uint8) if hue else VALUES
    saturations = _plus(saturation).copy()
    saturations[0] = 0  # grey stays grey
    planes = cv2.split(cv2.cvtColor(image, cv2.COLOR_RGB2HSV))
    tables = (hues, saturations, _plus(value))
    shifted = [albucore.sz_lut(plane, table, inplace=True) for plane, table in zip(planes, tables, strict=True)]
    return cv2.cvtColor(cv2.merge(shifted), cv2.COLOR_HSV2RGB)


def _plus(value: float) -> np.ndarray:
    """`albucore.add_constant` of all values, which adds whole numbers."""
    first = 255 + max(-255, min(255, int(value)))
    return SATURATED[first : first + 256]


def _layers(label: Label) -> list[np.ndarray]:
    """Arrays (H, W) uint8 that move with the image. Where every pixel counts they do after it: padding reflects."""
    values = list(label.values) if label.values.ndim == 3 else [label.values]
    return values if label.valid.all() else [*values, label.valid.view(np.uint8)]


def _label(before: Label, layers: list[np.ndarray]) -> Label:
    """The label of layers that were moved."""
    count = len(before.values) if before.values.ndim == 3 else 1
    values = np.stack(layers[:count]) if before.values.ndim == 3 else layers[0]
    if len(layers) == count:
        return Label.whole(values)
    valid = layers[-1].view(bool)
    return Label(np.where(valid, values, values.dtype.type(0)), valid)
