"""Which images make which batch: a pure function of seed and epoch, the same on every process."""

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from fractions import Fraction

import numpy as np
from torch.utils.data import Sampler

from maskfold.datasets.dataset import Draw
from maskfold.errors import SamplerError


class EpochSampler(Sampler[list[Draw]]):
    """Batches of `Draw` for one process; set ``epoch`` before each pass over it, and ``first`` to leave some out.

    An epoch is one reshuffled round of the images. With ``epoch_images`` or ``positive_share`` the rounds (of the
    images with a mask, and of those without) run on from epoch to epoch instead, so that all images of a kind are
    drawn equally often. Draws of one image within an epoch are numbered, so that each is augmented differently.

    Every process gets the same number of equally long batches. Images that do not fill a batch on all of them are
    left to other epochs; only when there are too few for one full batch, that batch is shorter.
    """

    def __init__(
        self,
        n: int,
        *,
        batch_size: int,
        seed: int,
        times: Sequence[int] | np.ndarray | None = None,
        positive: Sequence[bool] | np.ndarray | None = None,
        positive_share: float | None = None,
        weights: np.ndarray | None = None,
        epoch_images: int | None = None,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        """See the class.

        Args:
            n: number of images.
            batch_size: images per batch and process.
            seed: seed of the order.
            times: (n,) how often each image stands in a round (bootstrap repeats); default: once.
            positive: (n,) whether the image has any mask; needed for ``positive_share``.
            positive_share: share of the images drawn that are positive. A fraction of an image is carried over to
                the next batch: 0.1 of batches of 4 is one image in two batches of five.
            weights: (n,) how often each image is drawn, relative to the others of its kind; default: all alike. A
                round then has as many images as ever, some of them several times and others not at all, by systematic
                sampling: each occurs as often as its share of the round says, rounded up or down.
            epoch_images: images per epoch over all processes; default: one round.
            rank: this process, 0 <= rank < world.
            world: number of processes.

        Raises:
            SamplerError: no images, fewer images than processes, or a share that needs images of a kind
                (with mask, without mask) of which there are none.
        """
        pool = np.repeat(np.arange(n), np.ones(n, int) if times is None else np.asarray(times, int))
        if len(pool) == 0:
            raise SamplerError("there are no images to train on: the fold's train split is empty")
        per_rank = (len(pool) if epoch_images is None else epoch_images) // world
        if per_rank == 0:
            raise SamplerError(f"an epoch has fewer images than there are processes ({world}): use fewer processes")
        self.n, self.seed, self.rank, self.world = n, seed, rank, world
        self.size = min(batch_size, per_rank)
        self.batches = per_rank // self.size
        # 0.1 as people mean it: the nearest float would be a little too much or too little, sometimes.
        self.share = Fraction(1 if positive_share is None else positive_share).limit_denominator(10**6)
        self.pools = _pools(pool, positive, positive_share)
        self.weights = None if weights is None else np.asarray(weights, float)
        self.whole_rounds = epoch_images is None and positive_share is None
        self.epoch = 0
        self.first = 0

    def __len__(self) -> int:
        return self.batches

    def __iter__(self) -> Iterator[list[Draw]]:
        batches = self._epoch_batches()
        repeats = _repeats(batches.ravel()).reshape(batches.shape)
        mine = slice(self.rank, None, self.world)
        pairs = zip(batches[mine].tolist(), repeats[mine].tolist(), strict=True)
        return iter([[Draw(self.epoch, *draw) for draw in zip(*pair, strict=True)] for pair in pairs][self.first :])

    def _epoch_batches(self) -> np.ndarray:
        """(batches * world, size) indices of this epoch, over all processes; positive images first."""
        total = self.batches * self.world
        if self.whole_rounds:
            order = self._stream(self.pools[0], 0, self.epoch * len(self.pools[0]), total * self.size)
            return order.reshape(total, self.size)
        ends = [self._positives(self.epoch * total + batch) for batch in range(total + 1)]
        ranges = [ends, [(self.epoch * total + batch) * self.size - end for batch, end in enumerate(ends)]]
        rows = [[] for _ in range(total)]
        for key, (images, places) in enumerate(zip(self.pools, ranges, strict=True)):
            drawn = self._stream(images, key, places[0], places[-1] - places[0])
            for row, part in zip(rows, np.split(drawn, np.subtract(places[1:-1], places[0])), strict=True):
                row.append(part)
        return np.array([np.concatenate(row) for row in rows])

    def _positives(self, batches: int) -> int:
        """Positive images in that many batches from the first epoch on."""
        return math.floor(batches * self.size * self.share + Fraction(1, 2))

    def _stream(self, images: np.ndarray, key: int, start: int, count: int) -> np.ndarray:
        """``count`` items from position ``start`` of the endless row of reshuffled rounds."""
        if count == 0:
            return np.empty(0, int)
        first, offset = divmod(start, len(images))
        rounds = range(first, first + -(-(offset + count) // len(images)))
        row = np.concatenate([self._round(images, key, number) for number in rounds])
        return row[offset : offset + count]

    def _round(self, images: np.ndarray, key: int, number: int) -> np.ndarray:
        """The images of a round, shuffled."""
        rng = np.random.default_rng([self.seed, key, number])
        if self.weights is None:
            return rng.permutation(images)
        ends = np.cumsum(self.weights[images])
        places = (np.arange(len(images)) + rng.random()) * (ends[-1] / len(images))
        return rng.permutation(images[np.searchsorted(ends, places, side="right").clip(0, len(images) - 1)])


def _pools(
    pool: np.ndarray, positive: Sequence[bool] | np.ndarray | None, share: float | None
) -> tuple[np.ndarray, np.ndarray]:
    """The images that count as positive (all, where no share is asked for), and the others."""
    if share is None:
        return pool, pool[:0]
    if positive is None:
        raise ValueError("positive_share needs to know which images are positive, got positive=None")
    has_mask = np.asarray(positive, bool)[pool]
    for kind, wanted, found in (("with", share > 0, has_mask), ("without", share < 1, ~has_mask)):
        if wanted and not found.any():
            raise SamplerError(
                f"positive_share is {share}, but there are no images {kind} a mask to train on: set it to null"
            )
    return pool[has_mask], pool[~has_mask]


def _repeats(values: np.ndarray) -> np.ndarray:
    """How often each value stood further left: [5, 7, 5, 5] -> [0, 0, 1, 2]."""
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
    repeats = np.empty(len(values), int)
    repeats[order] = np.arange(len(values)) - np.repeat(starts, np.diff(np.r_[starts, len(values)]))
    return repeats


def size_batches(
    sizes: Sequence[tuple[int, int]],
    batch_size: int,
    rank: int = 0,
    world: int = 1,
    *,
    resampling: Sequence[float] | None = None,
) -> list[list[int]]:
    """Evaluation batches of images of one size, for one process: lists of indices into ``sizes``.

    The largest images come first, so that a device too small for them fails at once. The batches of all ranks
    together hold every index exactly once; a rank may get one batch more than another.

    Args:
        sizes: (H, W) of the images' files.
        batch_size: images per batch.
        rank: this process, 0 <= rank < world.
        world: number of processes.
        resampling: factor by which networks see each image; a batch's images have one. None: 1.
    """
    factors = [1.0] * len(sizes) if resampling is None else resampling
    alike: dict[tuple[int, int, float], list[int]] = defaultdict(list)
    for index, ((height, width), factor) in enumerate(zip(sizes, factors, strict=True)):
        alike[int(height), int(width), factor].append(index)
    batches = [
        alike[kind][start : start + batch_size]
        for kind in sorted(alike, key=lambda kind: (kind[0] * kind[1] * kind[2] ** 2, kind), reverse=True)
        for start in range(0, len(alike[kind]), batch_size)
    ]
    return batches[rank::world]
