"""Fine-grained scores from the counts of every image and class (Wang et al., NeurIPS 2023, arXiv:2310.19252).

`counts` are integers (or whole floats) (..., C, 3): TP, FP, FN of each class in pixels, those that count.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from maskfold.errors import MaskfoldError
from maskfold.labels import LabelSpec
from maskfold.metrics.arrays import as_image_pair, as_pair, as_valid, nan_mean, ratio
from maskfold.metrics.overlap import image_counts

TP, FP, FN = 0, 1, 2


def class_counts(pred: Any, target: Any, classes: int, valid: Any = None) -> np.ndarray:
    """int64 (C, 3), TP, FP and FN of one image of integer labels (H, W), C = ``classes``.

    valid: bool (H, W), False where a pixel is in none of the counts; None: all count.
    Raises MaskfoldError for labels that are not in 0 .. C - 1 (where they do not count, the target may hold any).
    """
    pred, target = as_image_pair(pred, target)
    valid = as_valid(valid, pred.shape)
    void = np.False_ if valid is None else ~valid
    _check_range(pred, classes, "pred", np.False_)
    _check_range(target, classes, "target", void)
    cell = target.astype(np.intp)
    np.copyto(cell, classes, where=void)  # pixels that do not count go to a row of their own
    cell *= classes
    np.add(cell, pred, out=cell, casting="unsafe")
    confusion = np.bincount(cell.ravel(), minlength=(classes + 1) * classes)
    confusion = confusion.reshape(classes + 1, classes)[:classes]
    tp = np.diagonal(confusion)
    return np.stack([tp, confusion.sum(0) - tp, confusion.sum(1) - tp], axis=1)


def layer_counts(pred: Any, target: Any, valid: Any = None) -> np.ndarray:
    """int64 (C, 3), TP, FP and FN of each of C layers of 0 and 1, (C, H, W), that may overlap; ``valid`` (H, W).

    Raises MaskfoldError for other values than 0 and 1, and for differing shapes.
    """
    pred, target = as_pair(pred, target)
    counts = [image_counts(p, t, valid)[:3] for p, t in zip(pred, target, strict=True)]
    return np.array(counts, dtype=np.int64)


def mask_counts(labels: LabelSpec, pred: Any, target: Any, valid: Any = None) -> np.ndarray:
    """int64 (V, 3), TP, FP and FN of everything that ``labels.value_names`` names, in one image's masks."""
    if labels.task == "multilabel":
        return layer_counts(pred, target, valid)
    return class_counts(pred, target, len(labels.value_names), valid)


def iou(counts: np.ndarray) -> np.ndarray:
    """TP / (TP + FP + FN), (..., C); nan for a class that is neither labelled nor predicted."""
    return ratio(counts[..., TP], counts.sum(-1))


def dice(counts: np.ndarray) -> np.ndarray:
    """2 TP / (2 TP + FP + FN), (..., C); nan as in `iou`."""
    return ratio(2 * counts[..., TP], counts.sum(-1) + counts[..., TP])


def accuracy(counts: np.ndarray) -> np.ndarray:
    """TP / (TP + FN), the share of a class's pixels that were found, (..., C); nan where it has none."""
    return ratio(counts[..., TP], counts[..., TP] + counts[..., FN])


def of_present(counts: np.ndarray, score: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """The score of each class (..., C), nan where the class is not in the image's label."""
    return np.where(counts[..., TP] + counts[..., FN] > 0, score(counts), np.nan)


def worst_mean(values: np.ndarray, q: int = 100) -> float:
    """Mean of the lowest max(1, floor(q n / 100)) of the n values that are not nan; nan when there is none.

    q: whole per cent. Sorting also makes the sum the same, to the last bit, for any order of the images.
    """
    values = np.sort(values[~np.isnan(values)])
    return float(values[: max(1, q * len(values) // 100)].mean()) if len(values) else float("nan")


def mean_i(table: np.ndarray, q: int = 100) -> float:
    """Per image the mean over its classes, then over the worst q % of images; table: (n, C), `of_present`."""
    return worst_mean(nan_mean(table, axis=1), q)


def mean_c(table: np.ndarray, q: int = 100) -> float:
    """Per class the mean over the worst q % of its images, then over classes; table: (n, C), `of_present`."""
    return float(nan_mean(np.array([worst_mean(column, q) for column in table.T])))


def _check_range(labels: np.ndarray, classes: int, name: str, void: np.ndarray | np.bool) -> None:
    if labels.max(initial=0) < classes and labels.min(initial=0) >= 0:
        return
    wrong = np.unique(labels[~void & ((labels < 0) | (labels >= classes))])
    if len(wrong):
        found = ", ".join(map(str, wrong[:6]))
        raise MaskfoldError(
            f"{name} holds the labels {found}: expected 0 to {classes - 1} (mark what does not count in valid)"
        )
