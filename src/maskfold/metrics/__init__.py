"""Metrics of masks and label maps. Knows nothing of files, runs or contests' formats; needs numpy only."""

from maskfold.metrics.bootstrap import PairedResult, bootstrap_interval, paired_bootstrap
from maskfold.metrics.contest import METRICS, ContestMetric, build_metric
from maskfold.metrics.overlap import (
    ConfusionCounts,
    confusion_counts,
    dice_score,
    iou_score,
    precision,
    recall,
)
from maskfold.metrics.streaming import SegmentationMetrics
from maskfold.metrics.tgs import tgs_map

__all__ = [
    "METRICS",
    "ConfusionCounts",
    "ContestMetric",
    "PairedResult",
    "SegmentationMetrics",
    "bootstrap_interval",
    "build_metric",
    "confusion_counts",
    "dice_score",
    "iou_score",
    "paired_bootstrap",
    "precision",
    "recall",
    "tgs_map",
]
