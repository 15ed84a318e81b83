"""Which images are shown, and why."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pandas as pd

from maskfold.competitions import Competition, Sample
from maskfold.datasets.annotators import Annotations
from maskfold.ensembling.oof import OofImage
from maskfold.images import to_rgb
from maskfold.inference.decoding.options import for_each_class
from maskfold.labels import Label, LabelSpec
from maskfold.progress import progress
from maskfold.report.card_pictures import make_pictures
from maskfold.report.pictures import Pictures
from maskfold.report.pixels import Seen, predict_image

if TYPE_CHECKING:
    from maskfold.report.gather import Findings

MOST_SUSPECTS = 24
MOST_CLASSES = 6


@dataclass(frozen=True)
class Card:
    """One image of the gallery: why it is there, what is known about it, and its pictures."""

    reasons: tuple[str, ...]
    facts: dict[str, object]
    pictures: Pictures
    notes: list[str]


def pick_images(table: pd.DataFrame, count: int, failed: Sequence[int]) -> dict[int, tuple[str, ...]]:
    """Row number -> reasons, of the images to show, in the order of the table's rows.

    A third of ``count`` each: the lowest scores, the scores around the median, the highest uncertainty. Then
    the suspected labels and, with several runs, the images that all of them fail on.

    Args:
        table: `Survey.images` with the column score; images without a score are not shown.
        failed: row numbers of the images that all runs fail on.
    """
    scored = table[table["score"].notna()]
    by_score = scored.sort_values("score", kind="stable").index.to_list()
    third = min(-(-count // 3), len(by_score))
    middle = (len(by_score) - third) // 2
    groups = {
        "worst": by_score[:third],
        "median": by_score[middle : middle + third],
        "uncertain": scored.sort_values("uncertainty", ascending=False, kind="stable").index[:third],
        "suspect": suspects(table).index[:MOST_SUSPECTS],
        "all fail": failed,
    }
    rows = sorted({int(row) for group in groups.values() for row in group})
    return {row: tuple(name for name, group in groups.items() if row in set(group)) for row in rows}


def suspects(table: pd.DataFrame) -> pd.DataFrame:
    """The images with pixels that are confidently something else than their label, most of them first."""
    pixels = table["unlabelled"] + table["unfound"]
    order = pixels[pixels > 0].sort_values(ascending=False, kind="stable").index
    return table.loc[order]


def make_cards(
    picked: dict[int, tuple[str, ...]], findings: "Findings", annotations: Annotations | None = None
) -> list[Card]:
    """Read the picked images again and draw them; the worst score first.

    Args:
        picked: row -> reasons.
        findings: about all images.
        annotations: masks by several people, whose shares are shown, too.
    """
    table, competition, images = findings.table, findings.competition, findings.images
    rows = sorted(picked, key=lambda row: (np.nan_to_num(table["score"][row], nan=2.0), row))
    gates = for_each_class(findings.choice.post.presence, competition.labels, "post.presence")
    cards = []
    for row in progress(rows, "gallery", total=len(rows)):
        seen = predict_image(images[row], competition, findings.choice)
        pictures = make_pictures(
            to_rgb(competition.image(images[row].image), competition.images),
            seen,
            labels=competition.labels,
            count=len(rows),
            shares=None if annotations is None else _shares(annotations, images[row], competition, seen.truth),
        )
        notes = [*_presence_note(competition.labels, seen, gates), *_objects_note(seen)]
        cards.append(Card(picked[row], table.loc[row].to_dict(), pictures, notes))
    return cards


def _presence_note(labels: LabelSpec, seen: Seen, gates: Sequence[float]) -> Iterator[str]:
    """How sure networks are that each class is there, and which ones the gate rules out; of many the most sure."""
    if seen.presence is None:
        return
    names = labels.value_names[-labels.channels :]
    ranked = sorted(zip(names, seen.presence.tolist(), gates, strict=True), key=lambda each: -each[1])[:MOST_CLASSES]
    said = [
        f"{name} {share:.2f}" + (f" (below the gate {gate:g})" if share < gate else "") for name, share, gate in ranked
    ]
    yield f"presence: {', '.join(said)}"


def _objects_note(seen: Seen) -> Iterator[str]:
    if seen.objects is not None and seen.truth.instances is not None:
        labelled, predicted = (len(np.unique(each[each > 0])) for each in (seen.truth.instances, seen.objects))
        yield f"objects: labelled {labelled}, predicted {predicted}"


def _shares(annotations: Annotations, image: OofImage, competition: Competition, truth: Label) -> np.ndarray | None:
    """The share (H, W) of an image's annotators who have marked a pixel as any class; None: nobody has."""
    sample, size = Sample(image.id, image.image, image.masks), competition.size(image.image)
    drawn = [annotations.label(name, sample, size) for name in annotations.who(sample)]
    if not drawn:
        return None
    marked = np.mean([competition.labels.foreground(label.values) for label in drawn], axis=0)
    return cv2.resize(marked.astype(np.float32), truth.valid.shape[::-1], interpolation=cv2.INTER_AREA)
