"""Images that occur more than once, see `maskfold.datasets.copies`."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from maskfold.checks.images import Images, shown_path
from maskfold.checks.notes import Notes
from maskfold.datasets.copies import MOST_PAIRS, linked_sets, near_pairs
from maskfold.errors import first_few
from maskfold.symmetries import D4


@dataclass(frozen=True)
class Duplicates:
    """What occurs more than once; pairs of two test images are not looked for.

    Attributes:
        pairs: first, second (row numbers of the images), kind ("exact" or "near"), turn (index into `D4` that
            makes the second image like the first), bits (of the hash that differ), correlation.
        sets: (n,) a number for each image; images with the same number are copies of one another.
        complete: whether all pairs were kept.
    """

    pairs: pd.DataFrame
    sets: np.ndarray
    complete: bool = True


def check_duplicates(images: Images, notes: Notes) -> Duplicates:
    """Find copies among the training images, and of training images in the test split.

    Images of one colour are not copies. Warnings: how many there are of either kind, and which.
    """
    table = images.table
    exact = _exact_pairs(table)
    rows = _representatives(table)
    found, complete = near_pairs(images.thumbnails[rows], int((table["split"].to_numpy()[rows] == "train").sum()))
    near = [(rows[pair.first], rows[pair.second], "near", *pair[2:]) for pair in found]
    columns = ["first", "second", "kind", "turn", "bits", "correlation"]
    pairs = pd.DataFrame([*exact, *near], columns=columns)
    sets = linked_sets(pairs[["first", "second"]].to_numpy(np.int64), len(table))
    duplicates = Duplicates(pairs, sets, complete)
    _describe(duplicates, table, notes)
    return duplicates


def pair_name(pair: pd.Series, table: pd.DataFrame) -> str:
    """``a = b`` for the same pixels, ``a ~ b`` for nearly the same."""
    sign = "=" if pair["kind"] == "exact" else "~"
    turn = D4[pair["turn"]].words
    first, second = (shown_path(table["path"].iloc[pair[which]]) for which in ("first", "second"))
    return f"{first} {sign} {second}" + (f" ({turn})" if turn else "")


def _exact_pairs(table: pd.DataFrame) -> Iterator[tuple]:
    """Each copy with the first image of its kind; training images stand first."""
    usable = table[(table["split"] != "") & ~table["flat"].astype(bool)]
    for _, rows in usable.groupby("digest", sort=False).indices.items():
        places = usable.index[rows]
        if table["split"].iloc[places[0]] == "train":
            yield from ((places[0], other, "exact", 0, 0, 1.0) for other in places[1:])


def _representatives(table: pd.DataFrame) -> np.ndarray:
    """Row numbers of the images to compare: one of each exact set."""
    return np.flatnonzero((table["split"] != "") & ~table["digest"].duplicated())


def _describe(found: Duplicates, table: pd.DataFrame, notes: Notes) -> None:
    splits = table["split"].to_numpy()[found.pairs["second"].to_numpy(np.int64)]
    for kind, words in (("exact", "identical to"), ("near", "nearly the same as")):
        for split, others in (("train", "others"), ("test", "training images")):
            pairs = found.pairs[(found.pairs["kind"] == kind) & (splits == split)]
            if pairs.empty:
                continue
            copies = pairs["second"] if split == "test" else pd.concat([pairs["first"], pairs["second"]])
            names = first_few(pair_name(pair, table) for _, pair in pairs.iterrows())
            notes.warnings.append(f"{copies.nunique()} {split} images are {words} {others}: {names}")
    if not found.complete:
        notes.warnings.append(f"the search for copies ended at {MOST_PAIRS} pairs: there may be more")
