"""Crops, flips and colours in as few passes over the pixels as they need; what comes out is albumentations' own.

The transforms draw their parameters themselves, in their order. Only how these are applied is another: what moves
pixels is done to the crop alone and to the mask without a second one for what counts, changes of single values are
gathered in one table, and hue, saturation and value are shifted in one pass.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, cast

import albucore
import albumentations as A
import cv2
import numpy as np

from maskfold.labels import Label

Move = Callable[[np.ndarray], np.ndarray]
MOST_CHANNELS = 4  # that OpenCV pads and transposes

VALUES = np.arange(256, dtype=np.uint8)
# The eight symmetries of a square as `albumentations.D4` names them; arrays (H, W) or (H, W, C).
SYMMETRIES: dict[str, Move] = {
    "e": lambda array: array,
    "r90": partial(cv2.rotate, rotateCode=cv2.ROTATE_90_COUNTERCLOCKWISE),
    "r180": partial(cv2.rotate, rotateCode=cv2.ROTATE_180),
    "r270": partial(cv2.rotate, rotateCode=cv2.ROTATE_90_CLOCKWISE),
    "v": partial(cv2.flip, flipCode=0),
    "h": partial(cv2.flip, flipCode=1),
    "t": cv2.transpose,
    "hvt": lambda array: cv2.transpose(cv2.rotate(array, cv2.ROTATE_180)),
}


def _padded(params: dict[str, Any]) -> Move | None:
    top, bottom, left, right = (params[f"pad_{side}"] for side in ("top", "bottom", "left", "right"))
    if not (top or bottom or left or right):
        return None
    return lambda array: cv2.copyMakeBorder(array, top, bottom, left, right, cv2.BORDER_REFLECT_101)


def _cropped(params: dict[str, Any]) -> Move:
    left, top, right, bottom = params["crop_coords"]
    return lambda array: array[top:bottom, left:right]


MOVES: dict[type, Callable[[dict[str, Any]], Move | None]] = {
    A.PadIfNeeded: _padded,
    A.RandomCrop: _cropped,
    A.HorizontalFlip: lambda params: SYMMETRIES["h"],
    A.VerticalFlip: lambda params: SYMMETRIES["v"],
    A.D4: lambda params: SYMMETRIES[str(params["group_element"])],
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
        given, moves = image, list[Move]()
        table: np.ndarray | None = None  # what becomes of each value, of changes that were not made yet
        for transform in cast("list[Any]", self.transforms.transforms):
            kind = type(transform)
            if kind in MOVES:
                move = MOVES[kind](_drawn(transform, image)) if transform.should_apply() else None
                if move is not None:
                    moved = move(image)
                    image = moved.reshape(*moved.shape[:2], -1)  # OpenCV drops an axis of one channel
                    moves.append(move)
            elif kind in (A.RandomBrightnessContrast, A.RandomGamma) and image.dtype == np.uint8:
                if transform.should_apply():
                    table = transform.apply(VALUES if table is None else table, **_drawn(transform, image))
            else:
                image, table = _looked_up(image, table, given), None
                if kind is A.HueSaturationValue and image.dtype == np.uint8:
                    image = _shifted(image, transform.get_params()) if transform.should_apply() else image
                else:
                    image = transform(image=np.ascontiguousarray(image))["image"]
        return _looked_up(image, table, given), _moved(label, moves)


def _drawn(transform: Any, image: np.ndarray) -> dict[str, Any]:
    params = {**transform.get_params(), "shape": image.shape}
    return {**params, **transform.get_params_dependent_on_data(params, {"image": image})}


def _looked_up(image: np.ndarray, table: np.ndarray | None, given: np.ndarray) -> np.ndarray:
    """What the table says of each value, in place where the pixels are not those that were ``given``."""
    if table is None:
        return image
    pixels = np.ascontiguousarray(image)
    # Not cv2.LUT, which looks up one byte at a time.
    return albucore.sz_lut(pixels, table.reshape(-1), inplace=not np.may_share_memory(pixels, given))


def _shifted(image: np.ndarray, params: dict[str, float]) -> np.ndarray:
    """`albumentations.HueSaturationValue`, whose changes of saturation and value are tables here, too."""
    hue, saturation, value = (params[f"{name}_shift"] for name in ("hue", "sat", "val"))
    if hue == 0 and saturation == 0 and value == 0:
        return image
    hues = np.mod(VALUES.astype(np.int16) + hue, 180).astype(np.uint8) if hue else VALUES
    saturations = albucore.add_constant(VALUES, saturation, inplace=False) if saturation else VALUES.copy()
    saturations[0] = 0  # grey stays grey
    values = albucore.add_constant(VALUES, value, inplace=False) if value else VALUES
    planes = cv2.split(cv2.cvtColor(image, cv2.COLOR_RGB2HSV))
    tables = (hues, saturations, values)
    shifted = [albucore.sz_lut(plane, table, inplace=True) for plane, table in zip(planes, tables, strict=True)]
    return cv2.cvtColor(cv2.merge(shifted), cv2.COLOR_HSV2RGB)


def _moved(label: Label, moves: list[Move]) -> Label:
    """A label of which every pixel counts stays one: what is padded is reflected."""
    values = (
        np.stack([_each(layer, moves) for layer in label.values])
        if label.values.ndim == 3
        else _each(label.values, moves)
    )
    if label.valid.all():
        return Label.whole(values)
    valid = _each(label.valid.view(np.uint8), moves).view(bool)
    return Label(np.where(valid, values, values.dtype.type(0)), valid)


def _each(layer: np.ndarray, moves: list[Move]) -> np.ndarray:
    for move in moves:
        layer = move(layer)
    return np.ascontiguousarray(layer)
