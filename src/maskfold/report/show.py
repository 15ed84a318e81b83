"""Images, masks and errors side by side, for notebooks and for pictures in files."""

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from maskfold.report.pictures import ERRORS, UNSCORED, class_colours, error_labels

HIGHLIGHT = (230, 159, 0)
OPACITY = 0.45
INCHES = 2.6


def overlay(image: np.ndarray, mask: np.ndarray, *, classes: int = 1, ignore_index: int = 255) -> np.ndarray:
    """The image with its mask as a transparent colour: uint8 RGB (H, W, 3) from the same and a mask (H, W).

    Class 0 stays as it is, except that 255, what is not scored, is grey.
    """
    colours = [(0, 0, 0), HIGHLIGHT] if classes == 1 else class_colours(classes)
    table = np.array([*colours, UNSCORED], np.float32)
    unscored = mask == ignore_index
    painted = table[np.where(unscored, len(colours), mask)]
    alpha = np.where((mask > 0) | unscored, OPACITY, 0.0)[..., None]
    return (image * (1 - alpha) + painted * alpha).round().astype(np.uint8)


def error_overlay(
    image: np.ndarray, truth: np.ndarray, mask: np.ndarray, *, classes: int = 1, ignore_index: int = 255
) -> np.ndarray:
    """The image with what a mask has wrong: orange too much, blue missed, white right; uint8 RGB (H, W, 3)."""
    labels = error_labels(truth, mask, truth == ignore_index, classes)
    painted = np.array(ERRORS, np.float32)[labels]
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
