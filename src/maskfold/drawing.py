"""Colours of masks and of errors, and images with masks over them, as arrays."""

import colorsys

import cv2
import numpy as np

from maskfold.labels import Label, LabelSpec

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
HIGHLIGHT = (230, 159, 0)
OPACITY = 0.45


def overlay(
    image: np.ndarray, mask: np.ndarray, *, labels: LabelSpec = FOREGROUND, valid: np.ndarray | None = None
) -> np.ndarray:
    """The image with its mask as a transparent colour: uint8 RGB (H, W, 3) from the same and a mask.

    Args:
        labels: of the mask. Class 0 of exclusive classes stays as it is; of overlapping ones the last is seen.
        valid: bool (H, W), False where the image becomes grey, since it is not scored.
    """
    colours = [(0, 0, 0), HIGHLIGHT] if labels.task == "binary" else [colour for colour, _ in class_colours(labels)]
    table = np.array([*colours, UNSCORED], np.float32)
    numbers = colour_numbers(labels, mask, valid)
    painted = table[numbers]
    alpha = np.where(numbers > 0, OPACITY, 0.0)[..., None]
    return (image * (1 - alpha) + painted * alpha).round().astype(np.uint8)


def error_overlay(image: np.ndarray, truth: Label, mask: np.ndarray, *, labels: LabelSpec = FOREGROUND) -> np.ndarray:
    """The image with what a mask has wrong: orange too much, blue missed, white right; uint8 RGB (H, W, 3)."""
    painted = np.array(ERRORS, np.float32)[error_numbers(labels, truth, mask)]
    alpha = painted[..., 3:] / 255
    return (image * (1 - alpha) + painted[..., :3] * alpha).round().astype(np.uint8)


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


def colour_numbers(labels: LabelSpec, mask: np.ndarray, valid: np.ndarray | None = None) -> np.ndarray:
    """Index (H, W) into `class_colours` of every pixel of a mask; where classes overlap, the last one's.

    Where ``valid``, bool (H, W), is False it is the number behind the last colour.
    """
    if labels.task == "multilabel":
        mask = (mask * np.arange(1, labels.channels + 1)[:, None, None]).max(0)
    return mask if valid is None else np.where(valid, mask, len(class_colours(labels)))


def object_numbers(instances: np.ndarray) -> np.ndarray:
    """Index (H, W) into `CLASSES` of a mask of instances, whose colours recur; 0 where none is."""
    return np.where(instances > 0, 1 + (instances - 1) % (len(CLASSES) - 1), 0)


def fitting_size(shape: tuple[int, int], side: int) -> tuple[int, int]:
    """(width, height) of an image (H, W) shrunk so that no side is longer than ``side``."""
    factor = min(1, side / max(shape))
    return max(1, round(shape[1] * factor)), max(1, round(shape[0] * factor))


def shrink_labels(numbers: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Labels (H, W) below 256 at another size (width, height): uint8, by nearest neighbour."""
    return cv2.resize(numbers.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST)


def shrink_label(label: Label, size: tuple[int, int]) -> Label:
    """A mask and what counts of it at another size (width, height), by nearest neighbour; uint8 and bool."""
    layered = label.values.ndim > label.valid.ndim
    values = [shrink_labels(layer, size) for layer in (label.values if layered else [label.values])]
    return Label(np.stack(values) if layered else values[0], shrink_labels(label.valid, size).astype(bool))
