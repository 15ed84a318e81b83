"""Labels that are not certain: how far annotators agree, and which loss fits where training uses soft labels."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from maskfold.checks.images import Images
from maskfold.checks.notes import Notes, in_threads
from maskfold.competitions import Competition, ImagePath, Sample, Samples
from maskfold.config import AnnotatorsConfig
from maskfold.datasets.annotators import Annotations, mean_label, read_annotations
from maskfold.errors import CompetitionError, first_few
from maskfold.metrics.overlap import mask_agreement
from maskfold.metrics.soft_loss import soft_loss

Pair = tuple[str, str]
# So many pairs and images a terminal shows; the page shows more.
SHOWN = 6


@dataclass(frozen=True)
class Agreement:
    """How far annotators agree, in means over images of `mask_agreement`: Dice, 1 where both masks are empty.

    Attributes:
        annotators: name, images (that they have drawn), dice (with the majority; NaN where nobody else drew these).
        pairs: first, second, images (that both have drawn), dice; a row per pair with such images, the lowest first.
        images: id, annotators, dice (mean over the pairs); a row per image of several annotators, the lowest first.
    """

    annotators: pd.DataFrame
    pairs: pd.DataFrame
    images: pd.DataFrame


def check_annotators(
    competition: Competition, train: Samples, images: Images, config: AnnotatorsConfig | None, notes: Notes
) -> Agreement | None:
    """Compare the masks of all annotators; None where the config has none, or they cannot be read, which is a problem.

    The majority of an image is the class of most annotators, of a tie the first, or the foreground where classes do not
    exclude each other. Warnings: images that annotators lack. Facts: annotators and their agreement.
    """
    if config is None:
        return None
    try:
        annotations = read_annotations(competition, config)
    except CompetitionError as error:
        notes.problems.append(str(error))
        return None
    notes.warnings += annotations.gaps()
    own = images.table[images.table["split"] == "train"]
    sizes = dict(zip(own["path"], zip(own["height"], own["width"], strict=True), strict=True))
    usable = [sample for sample in train if sample.image in sizes]
    found = list(in_threads(partial(_compare, annotations, sizes), usable, "annotated images"))
    if failures := [figures for figures in found if isinstance(figures, str)]:
        notes.problems.append(f"annotators' masks of {len(failures)} images cannot be used: {first_few(failures)}")
    agreement = _gather(annotations, [figures for figures in found if not isinstance(figures, str)])
    _describe(agreement, notes)
    return agreement


def note_soft_loss(competition: Competition, notes: Notes) -> None:
    """A fact: the loss for soft labels that follows from the competition's metric."""
    metric = competition.metric
    pixels, region = soft_loss(metric)
    costs = "".join(f", {name} {value:g}" for name, value in region.get("options", {}).items())
    why = f"the metric is {metric.name}" if metric.costs else f"the metric {metric.name} names no costs of errors"
    notes.facts["soft-label loss"] = f"0.25 {pixels['name']} + 0.75 {region['name']}{costs} ({why})"


@dataclass(frozen=True)
class _Compared:
    """One image: Dice of each pair of annotators, and of each one with the majority."""

    id: str
    pairs: Mapping[Pair, float]
    majority: Mapping[str, float]


def _compare(annotations: Annotations, sizes: Mapping[ImagePath, tuple[int, int]], sample: Sample) -> _Compared | str:
    """How far the annotators of one image agree, or what is wrong with one of their masks."""
    labels = annotations.competition.labels
    try:
        drawn = {name: annotations.label(name, sample, sizes[sample.image]) for name in annotations.who(sample)}
    except CompetitionError as error:
        return str(error)
    pairs, majority = {}, {}
    for one, two in combinations(drawn, 2):
        valid = drawn[one].valid & drawn[two].valid
        if valid.any():
            pairs[one, two] = mask_agreement(drawn[one].values, drawn[two].values, labels, valid=valid)
    if pairs:
        most = labels.hard(mean_label(labels, list(drawn.values())))
        majority = {
            name: mask_agreement(label.values, most, labels, valid=label.valid)
            for name, label in drawn.items()
            if label.valid.any()
        }
    return _Compared(sample.id, pairs, majority)


def _gather(annotations: Annotations, found: list[_Compared]) -> Agreement:
    by_pair: dict[Pair, list[float]] = defaultdict(list)
    by_name: dict[str, list[float]] = defaultdict(list)
    for image in found:
        for pair, dice in image.pairs.items():
            by_pair[pair].append(dice)
        for name, dice in image.majority.items():
            by_name[name].append(dice)
    ids = set(annotations.competition.survey("train").samples.ids)
    names = [
        {"name": name, "images": len(ids & set(masks)), "dice": _mean(by_name[name])}
        for name, masks in annotations.masks.items()
    ]
    pairs = [
        {"first": one, "second": two, "images": len(dice), "dice": _mean(dice)} for (one, two), dice in by_pair.items()
    ]
    images = [
        {"id": image.id, "annotators": len(image.majority), "dice": _mean(image.pairs.values())}
        for image in found
        if image.pairs
    ]
    return Agreement(
        pd.DataFrame(names, columns=["name", "images", "dice"]),
        _lowest_first(pd.DataFrame(pairs, columns=["first", "second", "images", "dice"])),
        _lowest_first(pd.DataFrame(images, columns=["id", "annotators", "dice"])),
    )


def _mean(values: Any) -> float:
    return float(np.mean(list(values))) if values else float("nan")


def _lowest_first(table: pd.DataFrame) -> pd.DataFrame:
    return table.sort_values("dice", kind="stable", ignore_index=True)


def _describe(agreement: Agreement, notes: Notes) -> None:
    names = [f"{row.name} ({row.images} images)" for row in agreement.annotators.itertuples(index=False)]
    notes.facts["annotators"] = f"{len(names)}: {first_few(names, SHOWN)}"
    if agreement.images.empty:
        notes.facts["agreement"] = "not measured: no image has masks by several annotators"
        return
    pairs = [f"{row.first} and {row.second} {row.dice:.3f}" for row in agreement.pairs.itertuples()]
    notes.facts["agreement"] = f"mean Dice of pairs: {first_few(pairs, SHOWN)}"
    known = agreement.annotators.dropna(subset="dice")
    with_most = [f"{row.name} {row.dice:.3f}" for row in known.itertuples(index=False)]
    notes.facts["with majority"] = f"mean Dice: {first_few(with_most, SHOWN)}"
    lowest = [f"{row.id} {row.dice:.3f}" for row in agreement.images.head(SHOWN).itertuples()]
    notes.facts["least agreement"] = f"mean Dice of an image's pairs: {', '.join(lowest)}"
