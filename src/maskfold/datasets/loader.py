"""Data loaders: batches made in worker processes, with no trace of how many there are."""

from collections.abc import Iterable
from typing import Any

import cv2
import pandas as pd
import torch
from torch.utils.data import DataLoader, Dataset

from maskfold.competitions import Competition
from maskfold.config import Config
from maskfold.datasets.dataset import SegmentationDataset
from maskfold.datasets.sampler import size_batches


def train_loader(dataset: Dataset[dict[str, Any]], sampler: Iterable[list[Any]], workers: int) -> DataLoader:
    """Loader of the batches of an `EpochSampler`; set ``sampler.epoch`` before each pass over it."""
    return _loader(dataset, sampler, workers)


def eval_loader(dataset: Dataset[dict[str, Any]], batches: list[list[int]], workers: int) -> DataLoader:
    """Loader of given batches of indices, each of images of one size (`size_batches`)."""
    return _loader(dataset, batches, workers)


def image_loader(
    competition: Competition, samples: pd.DataFrame, config: Config, *, rank: int = 0, world: int = 1
) -> DataLoader:
    """Whole images in batches of one size, never augmented, with truth where ``samples`` has masks.

    ``rank`` of ``world`` processes gets its share of the batches.
    """
    dataset = SegmentationDataset(competition, samples, scale=config.data.scale)
    sizes = [competition.size(image) for image in samples["image"]]
    batches = size_batches(sizes, config.inference.batch_size, rank=rank, world=world)
    return eval_loader(dataset, batches, config.data.workers)


def collate(items: list[dict[str, Any]]) -> dict[str, Any]:
    """Stack a batch's items: tensors along a new first axis, ``index`` to int64 (N,); ``id`` and ``size`` to lists.

    Named ``targets`` of training are stacked one by one. Those of evaluation (uint8, native size) stay a list: equal
    size in the batch does not make them an input.
    """
    batch: dict[str, Any] = {}
    for name in items[0]:
        values = [item[name] for item in items]
        if name == "index":
            batch[name] = torch.tensor(values)
        elif name == "targets":
            batch[name] = {key: torch.stack([value[key] for value in values]) for key in values[0]}
        elif isinstance(values[0], torch.Tensor) and not (name == "target" and values[0].dtype == torch.uint8):
            batch[name] = torch.stack(values)
        else:
            batch[name] = values
    return batch


def _loader(dataset: Dataset[dict[str, Any]], batches: Iterable[list[Any]], workers: int) -> DataLoader:
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
