"""Which images are shown, and why."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from tqdm import tqdm

from maskfold.competitions import Competition
from maskfold.ensembling.choice import EnsembleChoice
from maskfold.ensembling.oof import OofImage
from maskfold.images import to_rgb
from maskfold.report.pictures import Pictures, make_pictures
from maskfold.report.pixels import predict_image

MOST_SUSPECTS = 24


@dataclass(frozen=True)
class Card:
    """One image of the gallery: why it is there, what is known about it, and its pictures."""

    reasons: tuple[str, ...]
    facts: dict[str, object]
    pictures: Pictures


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
    picked: dict[int, tuple[str, ...]],
    table: pd.DataFrame,
    images: Sequence[OofImage],
    competition: Competition,
    choice: EnsembleChoice,
) -> list[Card]:
    """Read the picked images again and draw them; the worst score first."""
    rows = sorted(picked, key=lambda row: (np.nan_to_num(table["score"][row], nan=2.0), row))
    cards = []
    for row in tqdm(rows, desc="gallery", unit="image", leave=False, disable=None):
        _, truth, mask = predict_image(images[row], competition, choice)
        pictures = make_pictures(
            to_rgb(competition.image(images[row].image), competition.images),
            truth,
            mask,
            labels=competition.labels,
            count=len(rows),
        )
        cards.append(Card(picked[row], table.loc[row].to_dict(), pictures))
    return cards
