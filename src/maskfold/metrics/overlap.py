"""Scores of binary masks, image by image: Dice, IoU, precision, recall and the counts behind them."""

from typing import Any, NamedTuple

import numpy as np

from maskfold.errors import MaskfoldError
from maskfold.labels import LabelSpec
from maskfold.metrics.arrays import as_image_pair, as_pair, as_valid, nan_mean, ratio


class ConfusionCounts(NamedTuple):
    """Pixels of one image (int) or of N images (int64 arrays (N,)); pixels that do not count are in none of them."""

    tp: Any
    fp: Any
    fn: Any
    tn: Any


def confusion_counts(pred: Any, target: Any, *, valid: Any = None) -> ConfusionCounts:
    """TP, FP, FN and TN of 0/1 masks, in pixels.

    pred, target: numpy arrays or torch tensors, bool or integers 0/1, (H, W) or (N, H, W).
    valid: bool of the masks' shape, False where a pixel is not counted, whatever the masks hold there; None: all are.
    Raises MaskfoldError for floats (threshold first), other values than 0/1 and differing shapes.
    """
    pred, target = as_pair(pred, target)
    if pred.ndim == 2:
        return image_counts(pred, target, valid)
    counted = as_valid(valid, pred.shape)
    valids = [None] * len(pred) if counted is None else counted
    rows = [image_counts(*images) for images in zip(pred, target, valids, strict=True)]
    return ConfusionCounts(*np.array(rows, dtype=np.int64).reshape(-1, 4).T)


def image_counts(pred: Any, target: Any, valid: Any = None) -> ConfusionCounts:
    """`confusion_counts` of one image (H, W)."""
    pred, target = as_image_pair(pred, target)
    valid = as_valid(valid, pred.shape)
    if valid is not None:
        pred, target = np.where(valid, pred, 0), np.where(valid, target, 0)
    pred, target = _as_mask(pred, "pred"), _as_mask(target, "target")
    # Counting the bits of bitwise results: several times faster than indexing with a boolean mask.
    tp, predicted, labelled = (int(np.count_nonzero(mask)) for mask in (pred & target, pred, target))
    counted = pred.size if valid is None else int(np.count_nonzero(valid))
    return ConfusionCounts(tp, predicted - tp, labelled - tp, counted - predicted - labelled + tp)


def dice_score(pred: Any, target: Any, *, empty: float = 1.0, valid: Any = None) -> float | np.ndarray:
    """Dice coefficient (F1) 2 TP / (2 TP + FP + FN) of each image.

    pred, target, valid: see `confusion_counts`.
    empty: the score where both masks are empty. Most competitions use 1, some 0.
    Returns a float for (H, W), float64 (N,) for (N, H, W); nan for an image without a valid pixel.
    """
    c = confusion_counts(pred, target, valid=valid)
    return _score(2 * c.tp, 2 * c.tp + c.fp + c.fn, c, empty)


def iou_score(pred: Any, target: Any, *, empty: float = 1.0, valid: Any = None) -> float | np.ndarray:
    """Intersection over union (Jaccard index) TP / (TP + FP + FN); arguments, result as in `dice_score`."""
    c = confusion_counts(pred, target, valid=valid)
    return _score(c.tp, c.tp + c.fp + c.fn, c, empty)


def mask_agreement(
    a: np.ndarray, b: np.ndarray, labels: LabelSpec, *, valid: np.ndarray | None = None, background: bool = True
) -> float:
    """Dice between two masks; several classes: the mean over those that either has. 1 where both are empty.

    valid: bool (H, W), the pixels that are compared, some at least; None: all.
    background: whether the first of classes that exclude each other counts, too.
    """
    pairs = list(zip(labels.layers(a), labels.layers(b), strict=True))
    pairs = pairs[1:] if labels.exclusive and not background else pairs
    mean = nan_mean(np.array([dice_score(*pair, empty=float("nan"), valid=valid) for pair in pairs]))
    return 1.0 if np.isnan(mean) else float(mean)


def precision(pred: Any, target: Any, *, empty: float = 1.0, valid: Any = None) -> float | np.ndarray:
    """TP / (TP + FP), 0 where only the prediction is empty; arguments and result as in `dice_score`."""
    c = confusion_counts(pred, target, valid=valid)
    return _score(c.tp, c.tp + c.fp, c, empty)


def recall(pred: Any, target: Any, *, empty: float = 1.0, valid: Any = None) -> float | np.ndarray:
    """TP / (TP + FN), 0 where only the target is empty; arguments and result as in `dice_score`."""
    c = confusion_counts(pred, target, valid=valid)
    return _score(c.tp, c.tp + c.fn, c, empty)


def _score(numerator: Any, denominator: Any, counts: ConfusionCounts, empty: float) -> float | np.ndarray:
    foreground = np.asarray(counts.tp + counts.fp + counts.fn)
    undefined = np.where(foreground > 0, 0.0, np.where(foreground + counts.tn > 0, empty, np.nan))
    score = ratio(numerator, denominator, undefined)
    return score if score.ndim else float(score)


def _as_mask(array: np.ndarray, name: str) -> np.ndarray:
    """0/1 integers as bool, without a copy where a byte holds them."""
    if array.dtype == bool:
        return array
    if array.max(initial=0) > 1 or array.min(initial=0) < 0:
        found = ", ".join(map(str, np.unique(array)[:6]))
        raise MaskfoldError(f"{name} holds the values {found}: expected 0 and 1 (mark what does not count in valid)")
    return array.view(bool) if array.itemsize == 1 else array.astype(bool)
