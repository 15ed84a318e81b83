"""Images, masks and errors side by side, for notebooks and for pictures in files."""

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from maskfold.labels import Label, LabelSpec
from maskfold.report.pictures import ERRORS, FOREGROUND, UNSCORED, class_colours, colour_numbers, error_numbers

HIGHLIGHT = (230, 159, 0)
OPACITY = 0.45
INCHES = 2.6


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
    numbers = colour_numbers(labels, mask)
    if valid is not None:
        numbers = np.where(valid, numbers, len(colours))
    painted = table[numbers]
    alpha = np.where(numbers > 0, OPACITY, 0.0)[..., None]
    return (image * (1 - alpha) + painted * alpha).round().astype(np.uint8)


def error_overlay(image: np.ndarray, truth: Label, mask: np.ndarray, *, labels: LabelSpec = FOREGROUND) -> np.ndarray:
    """The image with what a mask has wrong: orange too much, blue missed, white right; uint8 RGB (H, W, 3)."""
    painted = np.array(ERRORS, np.float32)[error_numbers(labels, truth, mask)]
    alpha = painted[..., 3:] / 255
    return (image * (1 - alpha) + painted[..., :3] * alpha).round().astype(np.uint8)


def show_images(
    pictures: Mapping[str, np.ndarray], *, columns: int = 4, vmax: float | None = None, title: str | None = None
) -> Figure:
    """A sheet of titled pictures: RGB (H, W, 3), or one channel (H, W) in grey levels from 0 to ``vmax``.

    Without ``vmax`` a mask or a probability goes from 0 to 1 and uint8 that exceeds 1 from 0 to 255.
    """
    columns = min(columns, len(pictures))
    rows = -(-len(pictures) // columns)
    figure = Figure(figsize=(INCHES * columns, (INCHES + 0.25) * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    if title:
        figure.suptitle(title, fontsize=9)
    for axis, (name, picture) in zip(axes, pictures.items(), strict=False):
        top = vmax or (255 if picture.max() > 1 else 1)
        axis.imshow(picture, cmap="gray", vmin=0, vmax=top, interpolation="nearest")
        axis.set_title(name, fontsize=9, parse_math=False)
    for axis in axes:
        axis.axis("off")
    return figure
