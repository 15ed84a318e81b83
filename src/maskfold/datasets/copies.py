"""Copies among images: the same pixels, or nearly, also mirrored or turned.

Exact copies have the same digest of their pixels. Near ones are candidates by a perceptual hash of 64 bits (C.
Zauner, Implementation and Benchmarking of Perceptual Image Hash Functions, 2010: the signs, against their median, of
the 8 x 8 lowest frequencies of the DCT of a 32 x 32 grey thumbnail) and are confirmed by the correlation of the
thumbnails' fine detail, so that images which only share their large shapes, as skies and fields do, are not copies.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any, NamedTuple, cast

import cv2
import numpy as np
from scipy.fft import dctn
from scipy.ndimage import uniform_filter
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from maskfold.competitions import Competition, Samples
from maskfold.errors import StorageError
from maskfold.files import atomic_path, cache_folder
from maskfold.images import ImageSpec, to_rgb
from maskfold.progress import progress
from maskfold.symmetries import D4, Symmetry

THUMBNAIL = 32
VERSION = 2  # of what is kept of a search; raise it with every change of what it finds
# Different images differ in 32 bits of 64 on average, copies saved again or brightened in a few.
MOST_BITS = 10
# Copies saved again reach 0.99, successive frames of a video 0.95; of 490,000 pairs of aerial tiles none 0.9.
LEAST_CORRELATION = 0.9
# Thumbnails whose grey levels span less, from the 10th to the 90th percentile, hold too little to be recognised by.
LEAST_SPAN = 4.0
# Images of a video or copies by the thousand would make pairs by the million: what matters is known before.
MOST_PAIRS = 20_000
CHUNK = 64


class NearPair(NamedTuple):
    """Two images that are nearly the same.

    Attributes:
        first, second: places of the images.
        turn: index into `D4` that makes the second image like the first.
        bits: of the hash that differ.
        correlation: of the fine detail.
    """

    first: int
    second: int
    turn: int
    bits: int
    correlation: float


def thumbnail(image: np.ndarray, images: ImageSpec) -> np.ndarray:
    """uint8 (32, 32), grey, of an image (H, W, C)."""
    grey = cv2.cvtColor(to_rgb(image, images), cv2.COLOR_RGB2GRAY)
    return cv2.resize(grey, (THUMBNAIL, THUMBNAIL), interpolation=cv2.INTER_AREA)


def pixel_digest(image: np.ndarray) -> bytes:
    """Equal for images of the same pixels."""
    return hashlib.blake2b(repr(image.shape).encode() + image.tobytes(), digest_size=16).digest()


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


def near_pairs(thumbnails: np.ndarray, train: int) -> tuple[list[NearPair], bool]:
    """Pairs of nearly the same images, the surest first, and whether all were kept.

    Args:
        thumbnails: uint8 (n, 32, 32).
        train: pairs are looked for of which one is among the first so many.
    """
    levels = thumbnails.reshape(len(thumbnails), THUMBNAIL**2)
    low, high = np.percentile(levels, [10, 90], axis=1) if len(levels) else np.zeros((2, 0))
    rows = np.flatnonzero(high - low >= LEAST_SPAN)
    first_rows = int((rows < train).sum())
    thumbnails = thumbnails[rows]
    codes = perceptual_hash(thumbnails)
    found: dict[tuple[int, int], NearPair] = {}
    for number, turn in enumerate(D4):
        for first, second, bits, correlation in _matches(thumbnails, codes, turn, first_rows):
            pair = (int(rows[first]), int(rows[second]))
            found.setdefault(pair, NearPair(*pair, number, int(bits), float(correlation)))
            if len(found) >= MOST_PAIRS:
                return list(found.values()), False
    return sorted(found.values(), key=lambda pair: -pair.correlation), True


def linked_sets(pairs: np.ndarray, count: int) -> np.ndarray:
    """(count,) a number for each item; items that pairs (m, 2) link, also by way of others, have the same."""
    first, second = pairs.T
    links = coo_array((np.ones(len(pairs), np.int8), (first, second)), shape=(count, count))
    return connected_components(links, directed=False)[1]


def copy_sets(competition: Competition, samples: Samples) -> np.ndarray:
    """(n,) a number for each sample; samples whose images are copies of one another have the same.

    Every image is read once; what is found is kept with the cached images, until a file changes.
    """
    stands = [(sample.id, competition.stands(sample.image)) for sample in samples]
    facts = repr((VERSION, competition.images, stands)).encode()
    path = cache_folder() / f"copies-{hashlib.blake2b(facts, digest_size=16).hexdigest()}.npy"
    with suppress(OSError, ValueError, EOFError):
        found = np.load(path, allow_pickle=False)
        if found.shape == (len(samples),):
            return found
    found = _searched(competition, samples)
    # A folder that cannot be written to costs time only.
    with suppress(OSError, StorageError), atomic_path(path) as temporary:
        np.save(temporary, found)
    return found


def with_copies(ids: Sequence[str], groups: Sequence[str | None], sets: np.ndarray) -> list[str | None]:
    """Groups of which each holds all copies of its images; the groups as they are where nothing is a copy.

    Args:
        ids: of the images.
        groups: of the images, None for those that have none.
        sets: (n,) a number for each image, the same for copies, as `copy_sets` finds them.
    """
    if len(np.unique(sets)) == len(sets):
        return list(groups)
    named = [
        f"{image_id} and its copies" if group is None else group for image_id, group in zip(ids, groups, strict=True)
    ]
    first, of_set = _first_places(named), _first_places(sets.tolist())
    places = range(len(named))
    links = [*((place, first[named[place]]) for place in places), *((place, of_set[sets[place]]) for place in places)]
    joined = linked_sets(np.array(links), len(named))
    names = {number: named[place] for number, place in _first_places(joined.tolist()).items()}
    return [names[number] for number in joined.tolist()]


def _first_places(items: Sequence[Any]) -> dict[Any, int]:
    """Item -> the place where it stands first."""
    return {item: place for place, item in reversed(list(enumerate(items)))}


def _searched(competition: Competition, samples: Samples) -> np.ndarray:
    thumbnails, digests, flat = [], [], []
    for sample in progress(samples, "copies", total=len(samples), unit="image"):
        image = competition.image(sample.image)
        thumbnails.append(thumbnail(image, competition.images))
        digests.append(pixel_digest(image))
        flat.append(bool((image == image[0, 0]).all()))
    first = _first_places(digests)
    pairs = [(first[digest], place) for place, digest in enumerate(digests) if not flat[place]]
    unlike = np.array(sorted(first.values()), int)
    near, _ = near_pairs(np.array(thumbnails, np.uint8).reshape(-1, THUMBNAIL, THUMBNAIL)[unlike], len(unlike))
    pairs += [(int(unlike[pair.first]), int(unlike[pair.second])) for pair in near]
    return linked_sets(np.array(pairs, int).reshape(-1, 2), len(samples))


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
