"""Metrics of masks and label maps. Knows nothing of files, runs or competitions' formats."""

from maskfold.metrics.bootstrap import PairedResult, bootstrap_interval, paired_bootstrap
from maskfold.metrics.build import METRICS, build_metric
from maskfold.metrics.calibration import CalibrationMetrics
from maskfold.metrics.competition import CompetitionMetric, gathered_stats, units_of
from maskfold.metrics.evaluation import Evaluation
from maskfold.metrics.overlap import (
    ConfusionCounts,
    confusion_counts,
    dice_score,
    iou_score,
    precision,
    recall,
)
from maskfold.metrics.resamples import resampled_scores
from maskfold.metrics.streaming import SegmentationMetrics
from maskfold.metrics.tgs import tgs_map

__all__ = [
    "METRICS",
    "CalibrationMetrics",
    "CompetitionMetric",
    "ConfusionCounts",
    "Evaluation",
    "PairedResult",
    "SegmentationMetrics",
    "bootstrap_interval",
    "build_metric",
    "confusion_counts",
    "dice_score",
    "gathered_stats",
    "iou_score",
    "paired_bootstrap",
    "precision",
    "recall",
    "resampled_scores",
    "tgs_map",
    "units_of",
]
