"""Whole images for the network, in the order that makes full batches."""

import pandas as pd
from torch.utils.data import DataLoader

from maskfold.competitions import Competition
from maskfold.config import Config
from maskfold.datasets import SegmentationDataset, eval_loader, size_batches


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
