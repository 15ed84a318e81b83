"""Images that occur more than once: the same pixels, or nearly, also mirrored or turned.

Exact copies have the same digest of their pixels. Near ones are candidates by a perceptual hash of 64 bits (C.
Zauner, Implementation and Benchmarking of Perceptual Image Hash Functions, 2010: the signs, against their median, of
the 8 x 8 lowest frequencies of the DCT of a 32 x 32 grey thumbnail) and are confirmed by the correlation of the
thumbnails' fine detail, so that images which only share their large shapes, as skies and fields do, are not copies.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import cast

import numpy as np
import pandas as pd
from scipy.fft import dctn
from scipy.ndimage import uniform_filter
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from maskfold.checks.images import THUMBNAIL, Images, shown_path
from maskfold.checks.notes import Notes
from maskfold.errors import first_few
from maskfold.symmetries import D4, Symmetry

# Different images differ in 32 bits of 64 on average, copies saved again or brightened in a few.
MOST_BITS = 10
# Copies saved again reach 0.99, successive frames of a video 0.95; of 490,000 pairs of aerial tiles none 0.9.
LEAST_CORRELATION = 0.9
# Thumbnails whose grey levels span less, from the 10th to the 90th percentile, hold too little to be recognised by.
LEAST_SPAN = 4.0
# Images of a video or copies by the thousand would make pairs by the million: what matters is known before.
MOST_PAIRS = 20_000
CHUNK = 64


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
    near, complete = _near_pairs(images, _representatives(table))
    columns = ["first", "second", "kind", "turn", "bits", "correlation"]
    pairs = pd.DataFrame([*exact, *near], columns=columns)
    sets = _sets(pairs, len(table))
    found = Duplicates(pairs, sets, complete)
    _describe(found, table, notes)
    return found


def perceptual_hash(thumbnails: np.ndarray) -> np.ndarray:
    """(n,) uint64 of uint8 thumbnails (n, 32, 32)."""
    # The first row and column hold the means along the axes: brightness, not content.
    spectrum = cast("np.ndarray", dctn(thumbnails.astype(np.float32), axes=(1, 2), norm="ortho"))
    low = spectrum[:, 1:9, 1:9].reshape(-1, 64)
    bits = low > np.median(low, axis=1, keepdims=True)
    return np.packbits(bits, axis=1).view(np.uint64).ravel()


def fine_detail(thumbnails: np.ndarray) -> np.ndarray:
    """(n, 1024) float32 unit vectors: what is left of uint8 thumbnails (n, 32, 32) without a 5 x 5 mean."""
    values = thumbnails.astype(np.float32)
    box = cast("int", (1, 5, 5))  # a side for each axis; scipy has no annotations, its default is one for all
    detail = (values - uniform_filter(values, size=box)).reshape(len(values), THUMBNAIL**2)
    length = np.linalg.norm(detail, axis=1, keepdims=True)
    return detail / np.maximum(length, 1e-6)


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


def _near_pairs(images: Images, rows: np.ndarray) -> tuple[list[tuple], bool]:
    levels = images.thumbnails[rows].reshape(len(rows), THUMBNAIL**2)
    low, high = np.percentile(levels, [10, 90], axis=1)
    rows = rows[high - low >= LEAST_SPAN]
    thumbnails = images.thumbnails[rows]
    train = int((images.table["split"].to_numpy()[rows] == "train").sum())
    codes = perceptual_hash(thumbnails)
    found: dict[tuple[int, int], tuple] = {}
    for number, turn in enumerate(D4):
        for first, second, bits, correlation in _matches(thumbnails, codes, turn, train):
            pair = (int(rows[first]), int(rows[second]))
            found.setdefault(pair, (*pair, "near", number, int(bits), float(correlation)))
            if len(found) >= MOST_PAIRS:
                return list(found.values()), False
    return sorted(found.values(), key=lambda pair: -pair[-1]), True


def _matches(
    thumbnails: np.ndarray, codes: np.ndarray, turn: Symmetry, train: int
) -> Iterator[tuple[int, int, int, float]]:
    """(first, second, bits, correlation) of images first < train that look like second > first under ``turn``."""
    turned = codes if turn is D4[0] else perceptual_hash(turn.apply(thumbnails))
    for start in range(0, train, CHUNK):
        distance = np.bitwise_count(codes[start : min(start + CHUNK, train), None] ^ turned[None, start:])
        first, second = np.nonzero(distance <= MOST_BITS)
        bits = distance[first, second]
        later = second > first
        first, second, bits = first[later] + start, second[later] + start, bits[later]
        correlation = _correlations(thumbnails, first, second, turn.apply)
        for place in np.flatnonzero(correlation >= LEAST_CORRELATION):
            yield first[place], second[place], bits[place], correlation[place]


def _correlations(
    thumbnails: np.ndarray, first: np.ndarray, second: np.ndarray, turn: Callable[[np.ndarray], np.ndarray]
) -> np.ndarray:
    parts = np.array_split(np.arange(len(first)), max(1, len(first) // 4096))
    return np.concatenate(
        [(fine_detail(thumbnails[first[part]]) * fine_detail(turn(thumbnails[second[part]]))).sum(1) for part in parts]
    )


def _sets(pairs: pd.DataFrame, count: int) -> np.ndarray:
    first, second = (pairs[name].to_numpy(np.int64) for name in ("first", "second"))
    links = coo_array((np.ones(len(pairs), np.int8), (first, second)), shape=(count, count))
    return connected_components(links, directed=False)[1]


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
