"""Data loaders: batches made in worker processes, with no trace of how many there are."""

from collections.abc import Callable, Iterable
from typing import Any

import cv2
import torch
from torch.utils.data import DataLoader, Dataset, default_collate

from maskfold.competitions import Competition, Samples
from maskfold.config import Config
from maskfold.datasets.cache import ImageCache
from maskfold.datasets.dataset import EvalDataset, TrainDataset
from maskfold.datasets.sampler import EpochSampler, size_batches
from maskfold.datasets.shared_memory import check_shared_memory
from maskfold.datasets.unlabelled import MixedDataset, MixedSampler
from maskfold.resizing import scaled_size

Item = dict[str, Any]


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
    sizes = competition.sizes(samples)
    if any(competition.resampling(sample) != 1 for sample in samples):
        factors = [dataset.factor(sample) for sample in samples]
        sizes = [scaled_size(size, factor) for size, factor in zip(sizes, factors, strict=True)]
    batches = size_batches(sizes, config.inference.batch_size, rank=rank, world=world)
    return _loader(dataset, batches, config.data.workers, collate_eval)


def window_loader(windows: Dataset[Item], count: int, config: Config) -> DataLoader:
    """The ``count`` windows of a raster, in their order, as items of `EvalDataset` of one size."""
    size = config.inference.batch_size
    batches = [list(range(first, min(first + size, count))) for first in range(0, count, size)]
    return _loader(windows, batches, config.data.workers, collate_eval)


def collate_train(items: list[Item]) -> Item:
    """A batch of `TrainDataset`: tensors stacked along a new first axis, ``index`` int64 (N,), ``id`` a list.

    Items without labels of a `MixedDataset` are ``unlabelled``, a batch of their own: ``weak``, ``strong``, ``valid``,
    ``id``.
    """
    if without := [item for item in items if "targets" not in item]:
        stacked = {name: _stacked([item[name] for item in without]) for name in ("weak", "strong", "valid")}
        batch = collate_train([item for item in items if "targets" in item])
        return {**batch, "unlabelled": {**stacked, "id": [item["id"] for item in without]}}
    targets = {name: _stacked([item["targets"][name] for item in items]) for name in items[0]["targets"]}
    stacked = {name: _stacked([item[name] for item in items]) for name in ("image", "valid")}
    places = torch.tensor([item["index"] for item in items])
    return {**stacked, "targets": targets, "id": [item["id"] for item in items], "index": places}


def collate_eval(items: list[Item]) -> Item:
    """A batch of `EvalDataset`: ``image`` stacked, ``index`` int64 (N,), all else lists: masks may differ in size."""
    batch = {name: [item[name] for item in items] for name in items[0]}
    return {**batch, "image": _stacked(batch["image"]), "index": torch.tensor(batch["index"])}


def _stacked(tensors: list[torch.Tensor]) -> torch.Tensor:
    """`torch.stack`; in a data worker straight into the memory that the main process sees, without another copy."""
    return default_collate(tensors)


def _loader(
    dataset: Dataset[Item], batches: Iterable[list[Any]], workers: int, collate: Callable[[list[Item]], Item]
) -> DataLoader:
    check_shared_memory(workers)
    return DataLoader(
        dataset,
        batch_sampler=batches,
        num_workers=workers,
        collate_fn=collate,
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
