"""Segmentation losses, called ``loss(logits, target, valid=None, **targets)``; `build_loss` mixes them from a config.

Each takes the ``task`` of `maskfold.labels` first. Logits are (N, C, H, W), C = 1 for a binary task; the target has
their shape, in [0, 1], or for a multiclass task holds classes (N, H, W). ``valid`` is bool (N, 1, H, W), False where
a pixel does not count. All compute in float32 at least, leave their inputs alone, and give a finite value and
gradient for empty, full and uncounted masks.
"""

from maskfold.losses._common import SegmentationLoss
from maskfold.losses.boundary import ActiveBoundaryLoss, BoundaryLoss, signed_distance
from maskfold.losses.build import LOSSES, build_loss, default_loss
from maskfold.losses.focal import FocalLoss
from maskfold.losses.jdt import CompatibleTverskyLoss, DiceSemimetricLoss, JaccardMetricLoss
from maskfold.losses.lovasz import LovaszHingeLoss, LovaszSoftmaxLoss
from maskfold.losses.mixed import MixedLoss, Term
from maskfold.losses.pixel import BCEWithLogitsLoss, CrossEntropyLoss
from maskfold.losses.region import DiceLoss, JaccardLoss, TverskyLoss

__all__ = [
    "LOSSES",
    "ActiveBoundaryLoss",
    "BCEWithLogitsLoss",
    "BoundaryLoss",
    "CompatibleTverskyLoss",
    "CrossEntropyLoss",
    "DiceLoss",
    "DiceSemimetricLoss",
    "FocalLoss",
    "JaccardLoss",
    "JaccardMetricLoss",
    "LovaszHingeLoss",
    "LovaszSoftmaxLoss",
    "MixedLoss",
    "SegmentationLoss",
    "Term",
    "TverskyLoss",
    "build_loss",
    "default_loss",
    "signed_distance",
]
