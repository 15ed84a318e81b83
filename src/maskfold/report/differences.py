"""The images on which two submissions differ most, as one picture."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np

from maskfold.competitions import Competition
from maskfold.drawing import error_overlay, fitting_size, overlay, shrink_label
from maskfold.files import atomic_path
from maskfold.images import to_rgb
from maskfold.labels import LabelSpec
from maskfold.report.show import show_images
from maskfold.scoring.agreement import Agreement

SIDE = 512
DPI = 110


def save_differences(
    agreement: Agreement, competition: Competition, path: Path, *, count: int, truth: dict[str, Any] | None = None
) -> int:
    """Write the picture of the ``count`` images that differ most; returns how many there are.

    A row per image: the image, both masks and their difference; with ``truth`` (id -> what `Competition.label`
    takes) the image, its truth and the errors of both.
    Nothing is written where no image differs.
    """
    table = agreement.table[agreement.table["differing"] > 0].head(count)
    if table.empty:
        return 0
    pictures = {}
    for id_, dice in zip(table["id"], table["dice"], strict=True):
        row = difference_row(agreement, competition, id_, truth)
        first = f"{id_}: Dice(a, b) {dice:.3f}"
        pictures |= {first if title == "image" else f"{id_}: {title}": panel for title, panel in row.items()}
    figure = show_images(pictures, title=_legend(competition.labels, truth is not None))
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=DPI)
    return len(table)


def _legend(labels: LabelSpec, with_truth: bool) -> str:
    if labels.task != "binary":
        return "pink: another class than the truth" if with_truth else "pink: another class in a than in b"
    if with_truth:
        return "orange: predicted, not labelled; blue: labelled, not predicted"
    return "orange: in a only; blue: in b only"


def difference_row(
    agreement: Agreement, competition: Competition, id_: str, truth: dict[str, Any] | None
) -> dict[str, np.ndarray]:
    """Title -> picture of one image, uint8 RGB (H, W, 3), four of them, the image itself as ``image`` first."""
    sample = agreement.samples[id_]
    image = to_rgb(competition.image(sample.image), competition.images)
    shape = competition.mask_size(sample)
    masks = [part[id_] for part in agreement.masks] + ([truth[id_]] if truth is not None else [])
    decoded = [competition.label(mask, shape, id=id_) for mask in masks]
    size = fitting_size(shape, SIDE)
    image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    a, b, *true = (shrink_label(label, size) for label in decoded)
    labels = competition.labels
    if true:
        panels = {
            "truth": overlay(image, true[0].values, labels=labels, valid=true[0].valid),
            "errors of a": error_overlay(image, true[0], a.values, labels=labels),
            "errors of b": error_overlay(image, true[0], b.values, labels=labels),
        }
    else:
        panels = {
            "a": overlay(image, a.values, labels=labels),
            "b": overlay(image, b.values, labels=labels),
            "a against b": error_overlay(image, b, a.values, labels=labels),
        }
    return {"image": image, **panels}
