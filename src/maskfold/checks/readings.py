"""One way of reading run lengths, tried on a sample of masks: can it, does it make stripes, does it fit the images?"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np

from maskfold.checks.images import Images
from maskfold.competitions import Samples
from maskfold.datasets.copies import THUMBNAIL
from maskfold.picks import evenly_spaced
from maskfold.rle import RLEDialect, RLEError

KEYS = ("layout", "order", "start")


@dataclass(frozen=True)
class DrawnMask:
    """The strings of one image, its (H, W), and where it has edges: float32 (32, 32)."""

    id: str
    strings: tuple[str, ...]
    shape: tuple[int, int]
    edges: np.ndarray


@dataclass(frozen=True)
class Reading:
    """How one dialect reads the sample.

    Attributes:
        failed: number of masks that it cannot read.
        roughness: outline in pixels' sides per pixel of foreground, median over the masks read.
        fits: (n,) correlation of each mask's edges with its image's, NaN where it cannot be read.
    """

    dialect: RLEDialect
    failed: int
    roughness: float
    fits: np.ndarray

    @property
    def name(self) -> str:
        """``F, 1-based, start-length``."""
        return f"{self.dialect.order}, {self.dialect.start}-based, {self.dialect.layout}"

    @property
    def fit(self) -> float:
        """Mean of ``fits``."""
        return float(np.nanmean(self.fits)) if np.isfinite(self.fits).any() else float("nan")

    def changes(self, other: "Reading") -> list[str]:
        """Keys of the dialect in which they differ."""
        return [key for key in KEYS if getattr(self.dialect, key) != getattr(other.dialect, key)]


def all_dialects(dialect: RLEDialect) -> list[RLEDialect]:
    """The profile's dialect first, then those that its strings could be mistaken for."""
    layouts = ("counts",) if dialect.layout == "counts" else ("start-length", "start-end", "relative")
    found = [
        replace(dialect, layout=layout, order=order, start=start)
        for layout in layouts
        for order in ("F", "C")
        for start in ((0, 1) if layout in ("start-length", "start-end") else (0,))
    ]
    return [dialect, *(other for other in found if other != dialect)]


def draw_sample(train: Samples, images: Images, dialect: RLEDialect, most: int) -> list[DrawnMask]:
    """Masks with runs: up to half of them such that ``dialect`` cannot read, the others spread over the table."""
    own = images.table[images.table["split"] == "train"]
    rows = dict(zip(own["path"], own.index, strict=True))
    found: dict[bool, list[DrawnMask]] = {True: [], False: []}
    for sample in train:
        filled = tuple(text for text in sample.masks if any(word.isdigit() for word in text.split()))
        if filled and sample.image in rows:
            row = rows[sample.image]
            shape = (int(own["height"][row]), int(own["width"][row]))
            drawn = DrawnMask(sample.id, filled, shape, images.thumbnails[row])
            found[_fails(dialect, filled, shape)].append(drawn)
    failing = evenly_spaced(found[True], most // 2)
    chosen = [*failing, *evenly_spaced(found[False], most - len(failing))]
    return [replace(item, edges=edges(item.edges)) for item in chosen]


def read_sample(sample: Sequence[DrawnMask], dialect: RLEDialect) -> Reading:
    """Try ``dialect`` on every mask."""
    failed, roughness = 0, []
    fits = np.full(len(sample), np.nan)
    for place, item in enumerate(sample):
        if _fails(dialect, item.strings, item.shape):
            failed += 1
            continue
        mask = np.maximum.reduce([dialect.decode(text, item.shape) for text in item.strings])
        if mask.any() and not mask.all():
            roughness.append(_roughness(mask))
            fits[place] = _fit(mask, item.edges)
    return Reading(dialect, failed, float(np.median(roughness)) if roughness else float("nan"), fits)


def edges(picture: np.ndarray) -> np.ndarray:
    """Length of the gradient (Sobel) of a picture (H, W), float32."""
    values = picture.astype(np.float32)
    return np.hypot(cv2.Sobel(values, cv2.CV_32F, 1, 0), cv2.Sobel(values, cv2.CV_32F, 0, 1))


def _fails(dialect: RLEDialect, strings: Iterable[str], shape: tuple[int, int]) -> bool:
    try:
        for text in strings:
            dialect.area(text, shape)
    except RLEError:
        return True
    return False


def _roughness(mask: np.ndarray) -> float:
    signed = mask.astype(np.int8)
    sides = sum(int(np.count_nonzero(np.diff(signed, axis=axis))) for axis in (0, 1))
    return sides / int(mask.sum())


def _fit(mask: np.ndarray, image_edges: np.ndarray) -> float:
    """Correlation of a mask's edges with the image's, both at the size of a thumbnail."""
    small = cv2.resize(mask.astype(np.float32), (THUMBNAIL, THUMBNAIL), interpolation=cv2.INTER_AREA)
    one, two = (values - values.mean() for values in (edges(small), image_edges))
    length = float(np.linalg.norm(one) * np.linalg.norm(two))
    return float((one * two).sum()) / length if length > 0 else float("nan")
