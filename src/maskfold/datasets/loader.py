"""Data loaders: batches made in worker processes, with no trace of how many there are."""

from collections.abc import Iterable
from typing import Any

import cv2
import torch
from torch.utils.data import DataLoader, Dataset

from maskfold.competitions import Competition, Samples
from maskfold.config import Config
from maskfold.datasets.cache import ImageCache
from maskfold.datasets.dataset import EvalDataset, TrainDataset
from maskfold.datasets.hand_over import Collate, HandOver, HandOverLoader, Item, Stack
from maskfold.datasets.sampler import EpochSampler, size_batches
from maskfold.datasets.unlabelled import MixedDataset, MixedSampler

PREFETCHED = 2  # batches of a data worker that are made or wait


def train_loader(
    dataset: TrainDataset | MixedDataset, sampler: EpochSampler | MixedSampler, workers: int
) -> DataLoader:
    """Loader of the sampler's batches of a dataset of the same kind; set ``sampler.epoch`` before each pass over it."""
    return _loader(dataset, sampler, workers, collate_train)


def image_loader(
    competition: Competition,
    samples: Samples,
    config: Config,
    *,
    rank: int = 0,
    world: int = 1,
    cache: ImageCache | None = None,
) -> DataLoader:
    """Whole images in batches of one size, never augmented, with truth where ``samples`` has masks.

    ``rank`` of ``world`` processes gets its share of the batches; ``cache`` is one of images at ``data.scale``.
    """
    data = config.data
    dataset = EvalDataset(competition, samples, scale=data.scale, cache=cache, label_shift=data.label_shift)
    batches = image_batches(competition, samples, config.inference.batch_size, rank=rank, world=world)
    return _loader(dataset, batches, config.data.workers, collate_eval)


def image_batches(
    competition: Competition, samples: Samples, batch_size: int, *, rank: int = 0, world: int = 1
) -> list[list[int]]:
    """The batches of `image_loader`, as places in ``samples``.

    They do not depend on ``data.scale``, so that runs of several scales see the images in one order.
    """
    resampling = [competition.resampling(sample) for sample in samples]
    return size_batches(competition.sizes(samples), batch_size, rank, world, resampling=resampling)


def window_loader(windows: Dataset[Item], count: int, config: Config) -> DataLoader:
    """The ``count`` windows of a raster, in their order, as items of `EvalDataset` of one size."""
    size = config.inference.batch_size
    batches = [list(range(first, min(first + size, count))) for first in range(0, count, size)]
    return _loader(windows, batches, config.data.workers, collate_eval)


def collate_train(items: list[Item], stack: Stack = torch.stack) -> Item:
    """A batch of `TrainDataset`: tensors stacked along a new first axis, ``index`` int64 (N,), ``id`` a list.

    Items without labels of a `MixedDataset` are ``unlabelled``, a batch of their own: ``weak``, ``strong``, ``valid``,
    ``id``. ``stack`` makes the tensors.
    """
    if without := [item for item in items if "targets" not in item]:
        stacked = {name: stack([item[name] for item in without]) for name in ("weak", "strong", "valid")}
        batch = collate_train([item for item in items if "targets" in item], stack)
        return {**batch, "unlabelled": {**stacked, "id": [item["id"] for item in without]}}
    targets = {name: stack([item["targets"][name] for item in items]) for name in items[0]["targets"]}
    stacked = {name: stack([item[name] for item in items]) for name in ("image", "valid")}
    return {**stacked, "targets": targets, "id": [item["id"] for item in items], "index": _indices(items, stack)}


def collate_eval(items: list[Item], stack: Stack = torch.stack) -> Item:
    """A batch of `EvalDataset`: ``image`` stacked, ``index`` int64 (N,), all else lists: masks may differ in size."""
    batch = {name: [item[name] for item in items] for name in items[0]}
    return {**batch, "image": stack(batch["image"]), "index": _indices(items, stack)}


def _indices(items: list[Item], stack: Stack) -> Any:
    return stack([torch.tensor(item["index"]) for item in items])


def _loader(dataset: Dataset[Item], batches: Iterable[list[Any]], workers: int, collate: Collate) -> DataLoader:
    return HandOverLoader(
        dataset,
        batch_sampler=batches,
        num_workers=workers,
        prefetch_factor=PREFETCHED if workers else None,
        collate_fn=HandOver(collate, workers=workers, prefetch=PREFETCHED)
        if workers
        else lambda items: collate(items, torch.stack),
        worker_init_fn=_one_thread,
        persistent_workers=workers > 0,
        pin_memory=torch.cuda.is_available(),
        # Without its own generator a loader draws from torch's global one at each pass, which resuming would shift.
        generator=torch.Generator(),
    )


def _one_thread(worker: int) -> None:
    """Workers are the parallelism; threads inside them only fight for the cores."""
    cv2.setNumThreads(0)
    torch.set_num_threads(1)
