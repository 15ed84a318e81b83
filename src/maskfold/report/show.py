"""Images, masks and errors side by side, for notebooks and for pictures in files."""

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from maskfold.drawing import error_overlay as error_overlay
from maskfold.drawing import overlay as overlay

INCHES = 2.6


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
