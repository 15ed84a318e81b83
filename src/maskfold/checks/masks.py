"""Every mask is drawn once: what it covers, in how many pieces, and whether it is written as it should be."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import cv2
import numpy as np
import pandas as pd

from maskfold.checks.images import Images
from maskfold.checks.notes import LISTED_HERE, Notes, in_threads
from maskfold.competitions import Competition, ImagePath, Sample, Samples
from maskfold.errors import CompetitionError, first_few
from maskfold.labels import MANY_CLASSES, LabelSpec

COLUMNS = ("id", "path", "coverage", "values", "components", "speck", "place", "streaks", "canonical")


@dataclass(frozen=True)
class Masks:
    """All training masks that could be read, a row each.

    Attributes:
        labels: the task and its classes; ``labels.value_names`` names the values below.
        background: whether value 0 is the background: of label files of several classes it is a class like the others.
        table: id, path (of the image), coverage (share of the image that is foreground and counts), values
            (number of values that occur), components (8-connected; of label maps in lists also those of class
            0), speck (area of the smallest component that does not touch the image's border, NaN where there is
            none), place (its row and column), streaks (share of the foreground in lines one pixel thin, the
            larger of both directions), canonical.
        counts: (n, V) pixels of each value in each mask, as the rows of the table.
        pixels: (V,) pixels of each value in all masks together.
        images: (V,) number of masks in which each value occurs.
        areas: value -> areas of its components in pixels.
        total: pixels of all masks.
        uncounted: (pixels, masks) that are not scored, and in which there are some.
    """

    labels: LabelSpec
    background: bool
    table: pd.DataFrame
    counts: np.ndarray
    pixels: np.ndarray
    images: np.ndarray
    areas: Mapping[int, np.ndarray]
    total: int
    uncounted: tuple[int, int]

    @property
    def all_areas(self) -> np.ndarray:
        """Areas of all components of all classes."""
        return np.concatenate([np.empty(0, np.int64), *self.areas.values()])


def check_masks(competition: Competition, train: Samples, images: Images, notes: Notes) -> Masks:
    """Draw the masks of all training images that could be read.

    Problems: masks that cannot be used. Warnings: run lengths that are not in canonical form, classes without a
    pixel. Facts: pixels, empty masks, coverage, components.
    """
    own = images.table[images.table["split"] == "train"]
    sizes = dict(zip(own["path"], zip(own["height"], own["width"], strict=True), strict=True))
    usable = [sample for sample in train if sample.image in sizes]
    found = list(in_threads(partial(_measure, competition, sizes), usable, "masks"))
    failures = [figures for figures in found if isinstance(figures, str)]
    if failures:
        notes.problems.append(f"{len(failures)} masks cannot be used: {first_few(failures, LISTED_HERE)}")
    measured = [figures for figures in found if not isinstance(figures, str)]
    masks = _gather(competition.labels, measured, background=_has_background(competition))
    _describe(masks, notes)
    return masks


def _measure(
    competition: Competition, sizes: Mapping[ImagePath, tuple[int, int]], sample: Sample
) -> dict[str, Any] | str:
    """Figures of one mask, or what is wrong with it."""
    labels = competition.labels
    try:
        label = competition.label(sample.masks, sizes[sample.image], id=sample.id)
    except CompetitionError as error:
        return str(error)
    layers = labels.value_layers(label.values) & label.valid
    pixels = layers.sum((1, 2))
    first = 1 if _has_background(competition) else 0
    statistics = {int(value): _components(layers[value]) for value in np.flatnonzero(pixels) if value >= first}
    areas = {value: stats[:, cv2.CC_STAT_AREA] for value, stats in statistics.items()}
    speck, place = _smallest_inner(statistics.values(), label.valid.shape)
    foreground = labels.foreground(label.values)
    return {
        "id": sample.id,
        "path": sample.image,
        "coverage": foreground.sum() / foreground.size,
        "values": np.count_nonzero(pixels),
        "components": sum(map(len, areas.values())),
        "speck": speck,
        "place": place,
        "streaks": _streaks(foreground),
        "canonical": _canonical(competition, sample.masks, label.valid.shape),
        "pixels": pixels,
        "total": foreground.size,
        "uncounted": np.count_nonzero(~label.valid),
        "areas": areas,
    }


def _has_background(competition: Competition) -> bool:
    label_files = competition.labels.exclusive and competition.submission_kind == "files"
    return not label_files and competition.labels.task != "multilabel"


def _components(foreground: np.ndarray) -> np.ndarray:
    """(n, 5) of OpenCV's statistics of the 8-connected components: left, top, width, height, area."""
    return cv2.connectedComponentsWithStats(foreground.astype(np.uint8), connectivity=8)[2][1:]


def _smallest_inner(statistics: Iterable[np.ndarray], shape: tuple[int, ...]) -> tuple[float, tuple[int, int] | None]:
    """Area and place (row, column) of the smallest component that the image's border does not cut."""
    left, top, width, height, area = np.concatenate([np.empty((0, 5), np.int32), *statistics]).T
    inner = (left > 0) & (top > 0) & (left + width < shape[1]) & (top + height < shape[0])
    if not inner.any():
        return np.nan, None
    smallest = np.flatnonzero(inner)[area[inner].argmin()]
    row, column = top[smallest] + height[smallest] // 2, left[smallest] + width[smallest] // 2
    return float(area[smallest]), (int(row), int(column))


def _streaks(foreground: np.ndarray) -> float:
    area = foreground.sum()
    if not area:
        return 0.0
    # A line along the border may be the rim of something that goes on outside.
    padded = np.pad(foreground, 1, mode="edge")
    thin_rows = foreground & ~padded[:-2, 1:-1] & ~padded[2:, 1:-1]
    thin_columns = foreground & ~padded[1:-1, :-2] & ~padded[1:-1, 2:]
    return float(max(thin_rows.sum(), thin_columns.sum()) / area)


def _canonical(competition: Competition, masks: Any, shape: tuple[int, int]) -> bool:
    """Whether every string encodes back to itself; an empty mask may be written in any way the dialect accepts."""
    if competition.profile.layout != "csv" or isinstance(masks, str):
        return True
    dialect = competition.profile.dialect
    runs = [dialect.runs(rle, shape) for rle in masks]
    return all(not len(own) or dialect.text(own) == rle for own, rle in zip(runs, masks, strict=True))


def _gather(labels: LabelSpec, figures: list[dict[str, Any]], *, background: bool) -> Masks:
    pixels = np.array([row["pixels"] for row in figures], np.int64).reshape(-1, len(labels.value_names))
    areas: dict[int, list[np.ndarray]] = defaultdict(list)
    for row in figures:
        for value, found in row["areas"].items():
            areas[value].append(found)
    joined = {value: np.concatenate(parts).astype(np.int64) for value, parts in sorted(areas.items())}
    uncounted = [row["uncounted"] for row in figures]
    return Masks(
        labels=labels,
        background=background,
        table=pd.DataFrame(figures, columns=COLUMNS),
        counts=pixels,
        pixels=pixels.sum(0),
        images=(pixels > 0).sum(0),
        areas=joined,
        total=sum(row["total"] for row in figures),
        uncounted=(sum(uncounted), int(np.count_nonzero(uncounted))),
    )


def _shares(masks: Masks) -> list[str]:
    """``roof 3.1%`` for each class; of many for the most and the least frequent ones."""
    shares = masks.pixels / masks.total
    names = masks.labels.value_names
    if len(names) <= MANY_CLASSES:
        return [f"{name} {share:.1%}" for name, share in zip(names, shares, strict=True)]
    present = [place for place in np.argsort(-shares, kind="stable") if shares[place]]
    first, last = present[:8], present[8:][-4:]
    between = len(present) - len(first) - len(last)
    most, least = ([f"{names[place]} {100 * shares[place]:.2g}%" for place in some] for some in (first, last))
    return [*most, *([f"{between} classes between these"] if between else []), *least]


def _describe(masks: Masks, notes: Notes) -> None:
    table, total = masks.table, masks.total
    unusual = table["id"][~table["canonical"].astype(bool)]
    if len(unusual):
        notes.warnings.append(
            f"{len(unusual)} run-length strings are valid but not canonical (runs that touch, blanks), so they do not "
            f"encode back to themselves: {first_few(unusual)}"
        )
    if not total:
        return
    names = masks.labels.value_names
    shares = _shares(masks)
    if masks.uncounted[0]:
        shares.append(f"not scored {masks.uncounted[0] / total:.1%}")
    notes.facts["pixels"] = ", ".join(shares)
    notes.facts["empty masks"] = f"{(table['coverage'] == 0).sum()} of {len(table)}"
    filled = table[table["coverage"] > 0]
    if len(filled):
        low, middle, high = filled["coverage"].quantile([0.05, 0.5, 0.95])
        notes.facts["coverage"] = f"median {middle:.1%}, 90 % are {low:.1%} to {high:.1%} (empty masks left out)"
        low, middle, high = np.quantile(masks.all_areas, [0.05, 0.5, 0.95])
        notes.facts["components"] = (
            f"median {filled['components'].median():.0f} in a mask that is not empty, at most "
            f"{filled['components'].max()}; area median {middle:.0f} pixels, 90 % are {low:.0f} to {high:.0f}"
        )
    absent = [name for i, name in enumerate(names) if not masks.pixels[i]]
    if absent:
        notes.warnings.append(f"no training mask has a pixel of {first_few(absent)}")
