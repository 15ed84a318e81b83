"""Masks that are worth a look, each with its reason.

Rules ask what is rare *here*: where many masks fit a rule, it describes the competition and no mistake.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from maskfold.checks.duplicates import Duplicates
from maskfold.checks.images import Images
from maskfold.checks.masks import Masks
from maskfold.checks.notes import Notes
from maskfold.competitions import Competition, ImagePath, Samples
from maskfold.errors import first_few
from maskfold.labels import LabelSpec
from maskfold.symmetries import D4

# A rule that more masks fit than this share (or this few) describes the competition, not a mistake.
RARE, FEW = 0.01, 3
# Practically the whole image.
WHOLE = 0.995
# A component of so few pixels is a slip of the hand where half of all components have at least this many times more.
SPECK, SPECK_FACTOR = 5, 50
# Tukey's outer fence, on a logarithmic scale since counts and shares are skewed.
FENCE = 3.0
# A mask decoded in the wrong order is all lines one pixel thin, and many of them.
STREAKS, FEWEST_LINES = 0.5, 5
# Masks of the same pixels should be the same; of nearly the same ones, alike.
LEAST_AGREEMENT = {"exact": 0.9, "near": 0.5}
MOST_COMPARED = 2000


@dataclass(frozen=True)
class Suspicion:
    """One mask and what is strange about it; ``place`` is the row and column where, if it is in one place."""

    id: str
    path: ImagePath
    reason: str
    place: tuple[int, int] | None = None


def check_suspicious(
    competition: Competition, train: Samples, images: Images, masks: Masks, copies: Duplicates, notes: Notes
) -> list[Suspicion]:
    """Masks to look at. A warning with their number; what is usual here is a fact."""
    table = masks.table
    found, usual = [], []
    for name, rule in RULES.items():
        reasons = rule(table, masks)
        if len(reasons) > max(FEW, RARE * len(table)):
            usual.append(f"{len(reasons)} {name}")
        else:
            places = table["place"] if rule is _specks else dict.fromkeys(table.index)
            found += ((row, reason, places[row]) for row, reason in reasons.items())
    found += ((row, reason, None) for row, reason in _on_flat_images(table, images).items())
    suspicions = _disagreements(competition, train, images, copies)
    suspicions += [Suspicion(table["id"][row], table["path"][row], reason, place) for row, reason, place in found]
    if usual:
        notes.facts["usual here"] = ", ".join(usual) + ": so many that it is usual in this competition"
    if suspicions:
        named = (f"{item.id} ({item.reason})" for item in suspicions)
        count = len({item.id for item in suspicions})
        counted = "1 mask is" if count == 1 else f"{count} masks are"
        notes.warnings.append(f"{counted} worth a look: {first_few(named)}")
    return suspicions


def foreground_iou(labels: LabelSpec, first: np.ndarray, second: np.ndarray) -> float:
    """Of two masks: intersection over union of what is foreground, and in the intersection of the same class."""
    one, two = (labels.foreground(mask) for mask in (first, second))
    union = (one | two).sum()
    return float((one & two & ~labels.differ(first, second)).sum() / union) if union else 1.0


def _whole(table: pd.DataFrame, masks: Masks) -> dict[int, str]:
    if masks.labels.exclusive and not masks.background:
        return {}
    found = table["coverage"][table["coverage"] >= WHOLE]
    if masks.labels.exclusive:  # of several classes together it is no mistake
        found = found[table["values"] == 1]
    return {row: f"covers {coverage:.1%} of the image" for row, coverage in found.items()}


def _single(table: pd.DataFrame, masks: Masks) -> dict[int, str]:
    if not masks.labels.exclusive or masks.background:
        return {}
    return dict.fromkeys(table.index[table["values"] == 1], "is of a single class")


def _specks(table: pd.DataFrame, masks: Masks) -> dict[int, str]:
    areas = masks.all_areas
    if not len(areas) or np.median(areas) < SPECK * SPECK_FACTOR:
        return {}
    found = table["speck"][table["speck"] <= SPECK]
    half = f"where half of all have {np.median(areas):.0f} or more"
    return {row: f"has a component of {area:.0f} pixel{'s' * (area > 1)}, {half}" for row, area in found.items()}


def _many_components(table: pd.DataFrame, masks: Masks) -> dict[int, str]:
    middle, found = _far_out(table["components"])
    return {row: f"has {count} components, half of the others at most {middle:.0f}" for row, count in found.items()}


def _much_coverage(table: pd.DataFrame, masks: Masks) -> dict[int, str]:
    if masks.labels.exclusive:
        return {}
    middle, found = _far_out(table["coverage"])
    return {row: f"covers {share:.1%}, half of the others at most {middle:.1%}" for row, share in found.items()}


def _streaked(table: pd.DataFrame, masks: Masks) -> dict[int, str]:
    found = table["streaks"][(table["streaks"] >= STREAKS) & (table["components"] >= FEWEST_LINES)]
    return {row: f"consists of lines one pixel thin ({share:.0%} of it)" for row, share in found.items()}


def _far_out(values: pd.Series) -> tuple[float, pd.Series]:
    """Median, and the values beyond the upper outer fence, of those above 0."""
    filled = values[values > 0].astype(float)
    if filled.empty:
        return 0.0, filled
    low, middle, high = np.quantile(np.log(filled), [0.25, 0.5, 0.75])
    # Where half of the values are equal, the fence would be any other value.
    fence = np.exp(high + FENCE * max(high - low, np.log(1.5)))
    return float(np.exp(middle)), values[values > fence]


def _on_flat_images(table: pd.DataFrame, images: Images) -> dict[int, str]:
    flat = set(images.table["path"][images.table["flat"].astype(bool)])
    found = table[table["path"].isin(flat) & ((table["coverage"] > 0) & (table["coverage"] < 1))]
    return dict.fromkeys(found.index, "marks part of an image of a single colour")


def _disagreements(competition: Competition, train: Samples, images: Images, copies: Duplicates) -> list[Suspicion]:
    """Copies within the training split whose masks differ."""
    masks = {sample.id: sample.masks for sample in train}
    found = []
    for pair in copies.pairs.head(MOST_COMPARED).itertuples():
        first, second = (images.table.iloc[row] for row in (pair.first, pair.second))
        if second["split"] != "train":
            continue
        agreement = _agreement(competition, masks, first, second, pair.turn)
        if agreement < LEAST_AGREEMENT[pair.kind]:
            like = "has the same pixels as" if pair.kind == "exact" else "is nearly the same as"
            reason = f"{like} {first['id']}, but their masks overlap by only {agreement:.0%}"
            found.append(Suspicion(second["id"], second["path"], reason))
    return found


def _agreement(
    competition: Competition, masks: dict[str, object], first: pd.Series, second: pd.Series, turn: int
) -> float:
    """1.0 where the masks cannot be compared: unreadable, or of another size."""
    try:
        one, two = (
            competition.label(masks[row["id"]], (row["height"], row["width"])).values for row in (first, second)
        )
    except ValueError:
        return 1.0
    two = D4[turn].apply(two)
    return foreground_iou(competition.labels, one, two) if one.shape == two.shape else 1.0


Rule = Callable[[pd.DataFrame, Masks], dict[int, str]]
# What the masks of a rule are or have -> row number of the masks' table -> reason.
RULES: dict[str, Rule] = {
    "masks cover the whole image": _whole,
    "masks are of a single class": _single,
    f"masks have a component of at most {SPECK} pixels": _specks,
    "masks have many components": _many_components,
    "masks cover much": _much_coverage,
    "masks consist of thin lines": _streaked,
}
