"""What one fold trains and validates on."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from torch.utils.data import DataLoader

from maskfold.competitions import Competition, Samples
from maskfold.config import Config, DataConfig
from maskfold.datasets import (
    EpochSampler,
    ExtraImages,
    ImageCache,
    MixedDataset,
    MixedSampler,
    Mixing,
    StrongColours,
    TrainDataset,
    UnlabelledDataset,
    build_augmentation,
    coverages,
    image_loader,
    labelled_part,
    train_loader,
)
from maskfold.files import cache_folder
from maskfold.parallel import processes_here
from maskfold.picks import evenly_spaced
from maskfold.runs import Run
from maskfold.training.extra import extra_images
from maskfold.training.memory import free_memory
from maskfold.training.targets import smoothing, target_sources
from maskfold.training.unlabelled import unlabelled_factors, unlabelled_samples
from maskfold.training.weights import image_weights


@dataclass(frozen=True)
class FoldData:
    """Loaders of one fold: ``valid`` of this process's share of the validation images, ``valid_whole`` of all.

    Both are None where the fold is ``all``: nothing is left to validate on. ``watched`` is of this process's share of
    the training images that are scored beside them, None without any. ``unlabelled_ids`` are the paths of the images
    that are trained on without labels.
    """

    train: DataLoader
    sampler: EpochSampler | MixedSampler
    valid: DataLoader | None
    valid_whole: DataLoader | None
    valid_ids: list[str]
    unlabelled_ids: list[str]
    watched: DataLoader | None = None
    watched_ids: list[str] = field(default_factory=list)

    def end_workers(self) -> None:
        """End the data workers at once; while Python collects garbage each would be waited for, for five seconds."""
        for loader in (self.train, self.valid, self.valid_whole, self.watched):
            if loader is not None:
                loader._iterator = None


def fold_data(run: Run, fold: int | str, *, needs: frozenset[str], rank: int = 0, world: int = 1) -> FoldData:
    """Datasets, sampler and loaders of one fold for one of ``world`` processes.

    ``needs`` names the targets beside the mask that training asks for.
    """
    competition, config = run.competition(), run.config
    train, times, valid = run.fold_samples(fold)
    train, times, rest = _labelled(competition, train, times, config)
    extra = extra_images(run, fold)
    further = sum(len(images.samples) for images in extra)
    if extra:
        times = np.concatenate([np.ones(len(train), int) if times is None else times, np.ones(further, int)])
    sampler = EpochSampler(
        len(train) + further,
        batch_size=config.train.batch_size,
        seed=config.seed,
        times=times,
        positive=_positive(competition, train, extra, config),
        positive_share=config.data.positive_share,
        weights=_weights(run, fold, train, further),
        epoch_images=config.train.epoch_images,
        rank=rank,
        world=world,
    )
    cache = _cache(competition, config.data)
    dataset = _train_dataset(run, fold, train, extra, cache, needs)
    unlabelled = Samples() if config.semi is None else unlabelled_samples(competition, config.semi, rest)
    if config.semi is not None:
        dataset = MixedDataset(dataset, _unlabelled(competition, unlabelled, config))
        sampler = MixedSampler(sampler, len(unlabelled), config.semi.unlabelled_per_batch)
    shared = image_loader(competition, valid, config, rank=rank, world=world, cache=cache) if len(valid) else None
    alone = world == 1 or shared is None
    watched = Samples(evenly_spaced(train, config.train.watched_images)) if len(valid) else train[:0]
    own = config.model_copy(update={"data": config.data.model_copy(update={"workers": 0})})  # few images: no processes
    return FoldData(
        train=train_loader(dataset, sampler, config.data.workers),
        sampler=sampler,
        valid=shared,
        valid_whole=shared if alone else image_loader(competition, valid, config, cache=cache),
        valid_ids=list(valid.ids),
        unlabelled_ids=list(unlabelled.ids),
        watched=image_loader(competition, watched, own, rank=rank, world=world, cache=cache) if len(watched) else None,
        watched_ids=list(watched.ids),
    )


def _train_dataset(
    run: Run,
    fold: int | str,
    train: Samples,
    extra: Sequence[ExtraImages],
    cache: ImageCache | None,
    needs: frozenset[str],
) -> TrainDataset:
    """The labelled images, augmented, with their targets."""
    competition, config = run.competition(), run.config
    augment = build_augmentation(
        config.data.augment,
        crop=config.data.crop,
        images=competition.images,
        exclusive=competition.labels.exclusive,
    )
    return TrainDataset(
        competition,
        train,
        scale=config.data.scale,
        augment=augment,
        seed=config.seed,
        needs=needs,
        sources=target_sources(run, fold),
        smoothing=smoothing(config.targets, competition.labels),
        extra=extra,
        cache=cache,
        label_shift=config.data.label_shift,
        mixing=None if config.data.mix is None else Mixing(config.data.mix, competition.labels, config.seed),
    )


def _cache(competition: Competition, data: DataConfig) -> ImageCache | None:
    """What ``data.cache`` asks for, of all training images, so that folds on disk share it."""
    if data.cache == "none":
        return None
    folder = cache_folder() if data.cache == "disk" else None
    limit = None if data.cache_gib is None else data.cache_gib * 2**30
    if limit is None and folder is None:
        limit = free_memory() / 2 / processes_here()
    return ImageCache(competition, competition.samples("train"), scale=data.scale, limit=limit, folder=folder)


def _labelled(
    competition: Competition, train: Samples, times: np.ndarray | None, config: Config
) -> tuple[Samples, np.ndarray | None, Samples]:
    """The training images whose labels are used, how often each stands in a round, and the others."""
    if config.data.labelled_share == 1:
        return train, times, train[:0]
    chosen = labelled_part(coverages(competition, train), config.data.labelled_share, config.seed)
    used, rest = (Samples(train[place] for place in np.flatnonzero(part).tolist()) for part in (chosen, ~chosen))
    return used, None if times is None else times[chosen], rest


def _unlabelled(competition: Competition, samples: Samples, config: Config) -> UnlabelledDataset:
    data, images = config.data, competition.images
    weak = build_augmentation(data.augment, crop=data.crop, images=images, colours=False)
    return UnlabelledDataset(
        competition,
        samples,
        weak=weak,
        strong=StrongColours(images),
        scales=[data.scale * factor for factor in unlabelled_factors(competition, samples)],
        seed=config.seed,
    )


def _weights(run: Run, fold: int | str, train: Samples, further: int) -> np.ndarray | None:
    """Of the training images, and of the further ones, which weigh as much as the mean."""
    config = run.config.data.weights
    return None if config is None else np.concatenate([image_weights(run, fold, train, config), np.ones(further)])


def _positive(
    competition: Competition, train: Samples, extra: Sequence[ExtraImages], config: Config
) -> np.ndarray | None:
    if config.data.positive_share is None:
        return None
    return np.concatenate([coverages(competition, train) > 0, *(images.positive for images in extra)])
