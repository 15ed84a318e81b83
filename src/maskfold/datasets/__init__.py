"""From a contest's samples to batches of tensors: folds, augmentation, data set, sampler, loaders, checks."""

from maskfold.datasets.augment import PRESETS, Augmentation, build_augmentation
from maskfold.datasets.checks import DataReport, check_data
from maskfold.datasets.dataset import SegmentationDataset, resize_image, scaled_size
from maskfold.datasets.folds import FoldsError, coverages, load_groups, make_folds
from maskfold.datasets.folds_file import fold_parts, read_folds, write_folds
from maskfold.datasets.loader import collate, eval_loader, train_loader
from maskfold.datasets.sampler import EpochSampler, SamplerError, size_batches
from maskfold.datasets.transforms import AugmentationError

__all__ = [
    "PRESETS",
    "Augmentation",
    "AugmentationError",
    "DataReport",
    "EpochSampler",
    "FoldsError",
    "SamplerError",
    "SegmentationDataset",
    "build_augmentation",
    "check_data",
    "collate",
    "coverages",
    "eval_loader",
    "fold_parts",
    "load_groups",
    "make_folds",
    "read_folds",
    "resize_image",
    "scaled_size",
    "size_batches",
    "train_loader",
    "write_folds",
]
