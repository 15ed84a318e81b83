"""From a competition's samples to batches of tensors: folds, augmentation, data set, sampler, loaders."""

from maskfold.datasets.augment import PRESETS, Augmentation, build_augmentation
from maskfold.datasets.dataset import Draw, EvalDataset, TrainDataset, resize_image, scaled_size
from maskfold.datasets.folds import coverages, ignored_groups, load_groups, make_folds
from maskfold.datasets.folds_file import fold_splits, read_folds, write_folds
from maskfold.datasets.loader import collate_eval, collate_train, image_loader, train_loader
from maskfold.datasets.sampler import EpochSampler, size_batches

__all__ = [
    "PRESETS",
    "Augmentation",
    "Draw",
    "EpochSampler",
    "EvalDataset",
    "TrainDataset",
    "build_augmentation",
    "collate_eval",
    "collate_train",
    "coverages",
    "fold_splits",
    "ignored_groups",
    "image_loader",
    "load_groups",
    "make_folds",
    "read_folds",
    "resize_image",
    "scaled_size",
    "size_batches",
    "train_loader",
    "write_folds",
]
