"""Which way of writing run lengths do the strings show, and is it the profile's?

Every reading is tried on a sample of masks. A wrong layout or first number makes numbers that are no runs, or runs
past the image. A wrong order makes stripes, unless images are square: then it turns every mask over its diagonal,
which only the images can tell, by whether the masks' edges lie where the images have edges.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
import pandas as pd

from maskfold.competitions import Competition
from maskfold.datasets.checks.images import THUMBNAIL, Images
from maskfold.datasets.checks.notes import Notes
from maskfold.rle import RLEDialect, RLEError

# Masks that are tried: those that the profile cannot read, and others spread over the table.
SAMPLE = 150
# Below this number of masks, chance could decide.
FEWEST = 10
# Stripes have many times the outline of the shapes they are made of.
ROUGHER = 1.5
# Standard errors by which the masks' edges must fit the images better in one reading: chance once in 30,000.
SURE = 4.0
KEYS = ("layout", "order", "start")


@dataclass(frozen=True)
class Reading:
    """How one dialect reads the sample.

    Attributes:
        failed: number of strings that it cannot read.
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


@dataclass(frozen=True)
class DialectGuess:
    """The reading that the sample shows and the others, the most plausible first.

    Attributes:
        sample: ids of the masks tried.
        chosen: the reading; the profile's own unless another is clearly better.
        reason: why, as the end of a sentence.
    """

    sample: tuple[str, ...]
    chosen: Reading
    readings: tuple[Reading, ...]
    profile: Reading
    reason: str


@dataclass(frozen=True)
class _Sample:
    """Strings of one image each, its (H, W), and where the image has edges: float32 (32, 32)."""

    id: str
    strings: tuple[str, ...]
    shape: tuple[int, int]
    edges: np.ndarray


def check_dialect(competition: Competition, train: pd.DataFrame, images: Images, notes: Notes) -> DialectGuess | None:
    """Try all readings; None where masks are files or too few hold runs. A problem where the profile's is wrong."""
    if competition.profile.layout != "csv":
        return None
    dialect = competition.profile.dialect
    sample = _sample(train, images, dialect)
    if len(sample) < FEWEST:
        notes.facts["dialect"] = f"not guessed: {len(sample)} masks that are not empty, needs {FEWEST}"
        return None
    readings = [_read(sample, other) for other in _dialects(dialect)]
    guess = _choose(tuple(item.id for item in sample), readings)
    notes.facts["dialect"] = f"{guess.chosen.name}; {guess.reason}"
    if guess.chosen is not guess.profile:
        changed = (key for key in KEYS if getattr(guess.chosen.dialect, key) != getattr(dialect, key))
        keys = ", ".join(f"{key}: {getattr(guess.chosen.dialect, key)}" for key in changed)
        notes.problems.append(
            f"the profile reads run lengths as {guess.profile.name}, but they are written as {guess.chosen.name} "
            f"({guess.reason}): set dialect: {{{keys}}} in a copy of the profile, and competition.profile to its path"
        )
    return guess


def edges(picture: np.ndarray) -> np.ndarray:
    """Length of the gradient (Sobel) of a picture (H, W), float32."""
    values = picture.astype(np.float32)
    return np.hypot(cv2.Sobel(values, cv2.CV_32F, 1, 0), cv2.Sobel(values, cv2.CV_32F, 0, 1))


def _dialects(dialect: RLEDialect) -> list[RLEDialect]:
    """The profile's dialect first, then the others."""
    layouts = ("counts",) if dialect.layout == "counts" else ("start-length", "start-end", "relative")
    found = [
        replace(dialect, layout=layout, order=order, start=start)
        for layout in layouts
        for order in ("F", "C")
        for start in ((0, 1) if layout in ("start-length", "start-end") else (0,))
    ]
    return [dialect, *(other for other in found if other != dialect)]


def _sample(train: pd.DataFrame, images: Images, dialect: RLEDialect) -> list[_Sample]:
    own = images.table[images.table["part"] == "train"]
    rows = dict(zip(own["path"], own.index, strict=True))
    found = []
    for id_, path, strings in zip(train["id"], train["image"], train["masks"], strict=True):
        filled = tuple(text for text in strings if any(word.isdigit() for word in text.split()))
        if filled and path in rows:
            row = rows[path]
            shape = (int(own["height"][row]), int(own["width"][row]))
            found.append((_fails(dialect, filled, shape), _Sample(id_, filled, shape, images.thumbnails[row])))
    failing = [item for fails, item in found if fails]
    others = [item for fails, item in found if not fails]
    chosen = [*_spread(failing, SAMPLE // 2), *_spread(others, SAMPLE - min(len(failing), SAMPLE // 2))]
    return [replace(item, edges=edges(item.edges)) for item in chosen]


def _spread(items: Sequence[_Sample], most: int) -> list[_Sample]:
    places = np.unique(np.linspace(0, len(items) - 1, min(most, len(items))).round().astype(int))
    return [items[place] for place in places]


def _fails(dialect: RLEDialect, strings: Iterable[str], shape: tuple[int, int]) -> bool:
    try:
        for text in strings:
            dialect.area(text, shape)
    except RLEError:
        return True
    return False


def _read(sample: Sequence[_Sample], dialect: RLEDialect) -> Reading:
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


def _choose(sample: tuple[str, ...], readings: Sequence[Reading]) -> DialectGuess:
    """``readings`` begins with the profile's."""
    own = readings[0]
    fewest = min(reading.failed for reading in readings)
    # A single damaged string is no reason to change the dialect.
    readable = [reading for reading in readings if reading.failed <= fewest + 0.02 * len(sample)]
    start = own if own in readable else min(readable, key=lambda reading: _changes(reading, own))
    chosen, reason = start, _validity(start, own, readable, len(sample))
    for reading in readable:
        evidence = _evidence(reading, chosen)
        if evidence:
            chosen, reason = reading, evidence
    if chosen is start:
        confirmed = _confirmation(chosen, readable)
        reason = "; ".join(filter(None, (reason, confirmed)))
    ordered = sorted(readings, key=lambda reading: (reading.failed, -np.nan_to_num(reading.fit, nan=-2.0)))
    return DialectGuess(sample, chosen, tuple(ordered), own, f"{reason}; {_about_start(chosen, readable)}")


def _changes(reading: Reading, other: Reading) -> int:
    return sum(getattr(reading.dialect, key) != getattr(other.dialect, key) for key in KEYS)


def _validity(start: Reading, own: Reading, readable: Sequence[Reading], count: int) -> str:
    if start is not own:
        return f"it cannot read {start.failed} of {count} strings, the profile's reading {own.failed}"
    layouts = {reading.dialect.layout for reading in readable}
    unreadable = "" if len(layouts) > 1 else ", as by no other layout"
    return f"{count - own.failed} of {count} strings can be read{unreadable}"


def _evidence(reading: Reading, against: Reading) -> str:
    """Why ``reading`` is clearly the better one; empty where it is not."""
    if against.roughness >= ROUGHER * reading.roughness:
        return f"{against.name} makes stripes, outlines {against.roughness / reading.roughness:.1f} times as long"
    sure = _sureness(reading, against)
    if sure >= SURE and reading.roughness <= ROUGHER * against.roughness:
        return (
            f"its masks' edges fit the images' edges better than by {against.name}, correlation {reading.fit:.2f} "
            f"against {against.fit:.2f}, {sure:.0f} standard errors apart"
        )
    return ""


def _sureness(reading: Reading, against: Reading) -> float:
    """Standard errors by which the edges of the same masks fit better in ``reading``."""
    gain = reading.fits - against.fits
    gain = gain[np.isfinite(gain)]
    spread = gain.std() if len(gain) >= FEWEST else 0.0
    return float(gain.mean() / spread * np.sqrt(len(gain))) if spread > 0 else 0.0


def _confirmation(chosen: Reading, readable: Sequence[Reading]) -> str:
    other = [reading for reading in readable if _changed_order(reading, chosen)]
    if not other:
        return ""
    return _evidence(chosen, other[0]) or f"the order cannot be told from {other[0].dialect.order}"


def _changed_order(reading: Reading, chosen: Reading) -> bool:
    return reading.dialect.order != chosen.dialect.order and _changes(reading, chosen) == 1


def _about_start(chosen: Reading, readable: Sequence[Reading]) -> str:
    if chosen.dialect.layout in ("relative", "counts"):
        return "distances have no first number"
    other = replace(chosen.dialect, start=1 - chosen.dialect.start)
    if any(reading.dialect == other and reading.failed <= chosen.failed for reading in readable):
        return (
            "whether pixels count from 0 or 1 does not show (no run touches the image's ends): "
            f"{chosen.dialect.start} is the profile's"
        )
    return f"runs at the image's ends show that pixels count from {chosen.dialect.start}"
