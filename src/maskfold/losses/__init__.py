"""Segmentation losses, called ``loss(logits, target, **extras)``; `build_loss` mixes them from a config.

Logits are (N, 1, H, W) for a binary problem, with a target (N, 1, H, W) in [0, 1], or (N, C, H, W) with
classes (N, H, W) or soft labels (N, C, H, W). All compute in float32 at least, leave their inputs alone, and
give a finite value and gradient for empty, full and ignored masks.
"""

from maskfold.losses.boundary import ActiveBoundaryLoss, BoundaryLoss
from maskfold.losses.build import LOSSES, build_loss
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
    "Term",
    "TverskyLoss",
    "build_loss",
]
