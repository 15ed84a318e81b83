"""Which images make which batch: a pure function of seed and epoch, the same on every process."""

from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np
from torch.utils.data import Sampler

from maskfold.errors import SamplerError


class EpochSampler(Sampler[list[tuple[int, int]]]):
    """Batches of ``(epoch, index)`` for one process; set ``epoch`` before each pass over it.

    An epoch is one reshuffled round of the images. With ``epoch_images`` or ``positive_share`` the rounds (of the
    images with a mask, and of those without) run on from epoch to epoch instead, so that all images of a kind are
    drawn equally often. An image drawn again within an epoch comes as ``index + n``, ``index + 2n`` …, which is the
    same image to `SegmentationDataset`, augmented anew.

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
            positive_share: share of each batch drawn from positive images: round(share * batch) of them.
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
        self.streams = self._streams(pool, positive, positive_share)
        self.whole_rounds = epoch_images is None and positive_share is None
        self.epoch = 0

    def __len__(self) -> int:
        return self.batches

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        mine = self._epoch_batches()[self.rank :: self.world]
        return iter([[(self.epoch, int(index)) for index in batch] for batch in mine])

    def _streams(
        self, pool: np.ndarray, positive: Sequence[bool] | np.ndarray | None, share: float | None
    ) -> list[tuple[np.ndarray, int]]:
        """Pools of images and how many of each go into a batch."""
        if share is None:
            return [(pool, self.size)]
        if positive is None:
            raise ValueError("positive_share needs to know which images are positive, got positive=None")
        has_mask = np.asarray(positive, bool)[pool]
        wanted = round(share * self.size)
        streams = [(pool[has_mask], wanted), (pool[~has_mask], self.size - wanted)]
        for (images, count), kind in zip(streams, ("with", "without"), strict=True):
            if count and not len(images):
                raise SamplerError(
                    f"positive_share {share} puts {count} images {kind} a mask into a batch of {self.size}, but there "
                    f"are none {kind} a mask to train on: set it to null"
                )
        return [(images, count) for images, count in streams if count]

    def _epoch_batches(self) -> np.ndarray:
        """(batches * world, size) indices of this epoch, over all processes; repeats are marked by ``+ n``."""
        total = self.batches * self.world
        parts = []
        for key, (images, count) in enumerate(self.streams):
            step = len(images) if self.whole_rounds else total * count
            parts.append(self._stream(images, key, self.epoch * step, total * count).reshape(total, count))
        batches = np.concatenate(parts, axis=1)
        return (batches.ravel() + self.n * _repeats(batches.ravel())).reshape(batches.shape)

    def _stream(self, images: np.ndarray, key: int, start: int, count: int) -> np.ndarray:
        """``count`` items from position ``start`` of the endless row of reshuffled rounds."""
        first, offset = divmod(start, len(images))
        rounds = range(first, first + -(-(offset + count) // len(images)))
        row = np.concatenate([np.random.default_rng([self.seed, key, r]).permutation(images) for r in rounds])
        return row[offset : offset + count]


def _repeats(values: np.ndarray) -> np.ndarray:
    """How often each value stood further left: [5, 7, 5, 5] -> [0, 0, 1, 2]."""
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
    repeats = np.empty(len(values), int)
    repeats[order] = np.arange(len(values)) - np.repeat(starts, np.diff(np.r_[starts, len(values)]))
    return repeats


def size_batches(sizes: Sequence[tuple[int, int]], batch_size: int, rank: int = 0, world: int = 1) -> list[list[int]]:
    """Evaluation batches of images of one size, for one process: lists of indices into ``sizes``.

    The largest images come first, so that a device too small for them fails at once. The batches of all ranks
    together hold every index exactly once; a rank may get one batch more than another.
    """
    by_size: dict[tuple[int, int], list[int]] = defaultdict(list)
    for index, (height, width) in enumerate(sizes):
        by_size[int(height), int(width)].append(index)
    batches = [
        by_size[size][start : start + batch_size]
        for size in sorted(by_size, key=lambda size: (size[0] * size[1], size), reverse=True)
        for start in range(0, len(by_size[size]), batch_size)
    ]
    return batches[rank::world]
