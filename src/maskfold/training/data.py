"""What one fold trains and validates on."""

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from torch.utils.data import DataLoader

from maskfold.competitions import Competition, Samples
from maskfold.config import Config
from maskfold.datasets import (
    EpochSampler,
    TrainDataset,
    build_augmentation,
    coverages,
    fold_splits,
    ignored_groups,
    image_loader,
    load_groups,
    make_folds,
    read_folds,
    train_loader,
    write_folds,
)
from maskfold.errors import first_few

ALL = "all"
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class FoldData:
    """Loaders of one fold: ``valid`` of this process's share of the validation images, ``valid_whole`` of all.

    Both are null where the fold is ``all``: nothing is left to validate on.
    """

    train: DataLoader
    sampler: EpochSampler
    valid: DataLoader | None
    valid_whole: DataLoader | None
    valid_ids: list[str]


def ensure_folds(path: Path, competition: Competition, config: Config) -> pd.DataFrame:
    """The folds written down in ``path``; made and written there on the first call."""
    samples = competition.samples("train")
    groups = load_groups(competition, samples, config.folds)
    if note := ignored_groups(samples, config.folds):
        logger.warning("%s", note)
    if not path.exists():
        if unnamed := competition.unnamed_images():
            logger.warning("%d images stand in no table and are not used: %s", len(unnamed), first_few(unnamed))
        write_folds(make_folds(samples, coverages(competition, samples), config.folds, groups), path)
    return read_folds(path, samples.ids, groups=groups)


def fold_data(
    competition: Competition,
    config: Config,
    folds: pd.DataFrame,
    fold: int | str,
    *,
    needs: frozenset[str],
    rank: int = 0,
    world: int = 1,
) -> FoldData:
    """Datasets, sampler and loaders of one fold for one of ``world`` processes."""
    samples = competition.samples("train")
    train, times, valid = _parts(samples, folds, fold)
    sampler = EpochSampler(
        len(train),
        batch_size=config.train.batch_size,
        seed=config.seed,
        times=times,
        positive=_positive(competition, train, config),
        positive_share=config.data.positive_share,
        epoch_images=config.train.epoch_images,
        rank=rank,
        world=world,
    )
    dataset = TrainDataset(
        competition,
        train,
        scale=config.data.scale,
        augment=build_augmentation(config.data.augment, crop=config.data.crop, images=competition.images),
        seed=config.seed,
        needs=needs,
    )
    shared = image_loader(competition, valid, config, rank=rank, world=world) if len(valid) else None
    alone = world == 1 or shared is None
    return FoldData(
        train=train_loader(dataset, sampler, config.data.workers),
        sampler=sampler,
        valid=shared,
        valid_whole=shared if alone else image_loader(competition, valid, config),
        valid_ids=list(valid.ids),
    )


def _parts(samples: Samples, folds: pd.DataFrame, fold: int | str) -> tuple[Samples, np.ndarray | None, Samples]:
    if fold == ALL:
        return samples, None, samples[:0]
    train, valid = fold_splits(folds, int(fold))
    return samples.select(train["id"]), train["times"].to_numpy(), samples.select(valid["id"])


def _positive(competition: Competition, train: Samples, config: Config) -> np.ndarray | None:
    if config.data.positive_share is None:
        return None
    return coverages(competition, train) > 0
