"""Scores of a whole set of images, gathered batch by batch or process by process."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from maskfold.errors import MaskfoldError
from maskfold.labels import LabelSpec
from maskfold.metrics.arrays import as_labels, nan_mean, ratio
from maskfold.metrics.fine_grained import (
    FN,
    FP,
    TP,
    accuracy,
    dice,
    iou,
    mask_counts,
    mean_c,
    mean_i,
    of_present,
    worst_mean,
)

if TYPE_CHECKING:
    import pandas as pd

SCORES = {"iou": iou, "dice": dice}


class SegmentationMetrics:
    """Pixel accuracy, mean IoU and mean Dice over a set of labelled images, and their worst cases.

    Keeps TP, FP and FN of every image and class as integers: the result depends neither on the batch size nor
    on the order, and `merge` is exact. It pickles, so processes can send it to each other.

    labels: the task and its classes. The scores are of the classes ``labels.value_names``: of a binary task
        background and foreground, of a multilabel task each class by itself.
    worst: whole per cent in 1 .. 100, for which the worst-case scores are computed.

    Source: Wang et al., "Revisiting Evaluation Metrics for Semantic Segmentation", arXiv:2310.19252.
    """

    def __init__(self, labels: LabelSpec, worst: Sequence[int] = (1, 5)) -> None:
        if any(q != int(q) or not 1 <= q <= 100 for q in worst):
            raise MaskfoldError(f"worst is {tuple(worst)}, expected whole per cent from 1 to 100")
        self.labels = labels
        self.worst = tuple(int(q) for q in worst)
        self._counts: list[np.ndarray] = []

    @classmethod
    def of_counts(cls, labels: LabelSpec, counts: np.ndarray) -> "SegmentationMetrics":
        """The metrics of images of which `counts` is known already: whole numbers, n rows of C x 3."""
        found = cls(labels)
        found._counts = list(counts.reshape(len(counts), -1, 3).astype(np.int64))
        return found

    @property
    def counts(self) -> np.ndarray:
        """int64 (n, C, 3): TP, FP and FN of every image and class, in the order of the updates."""
        return np.array(self._counts, dtype=np.int64).reshape(-1, len(self.labels.value_names), 3)

    def update(self, pred: Any, target: Any, valid: Any = None) -> None:
        """Adds one image's masks, or N images' with one more axis in front, numpy or torch; sizes may differ.

        pred, target: integer labels (H, W); multilabel: 0/1 (C, H, W).
        valid: bool (H, W), False where a pixel is not counted; None: all are.
        Raises MaskfoldError for floats, differing shapes and labels out of range; nothing is added then.
        """
        pred, target = as_labels(pred, "pred"), as_labels(target, "target")
        if pred.ndim == len(self.labels.mask_shape((1, 1))):
            pred, target, valid = pred[None], target[None], None if valid is None else as_labels(valid, "valid")[None]
        if pred.shape != target.shape:
            raise MaskfoldError(f"pred is {pred.shape} and target {target.shape}: expected masks of one shape")
        valids = [None] * len(pred) if valid is None else as_labels(valid, "valid")
        images = zip(pred, target, valids, strict=True)
        self._counts += [mask_counts(self.labels, *image) for image in images]

    def merge(self, other: "SegmentationMetrics") -> "SegmentationMetrics":
        """Appends the images of `other`, which stays as it was; returns self."""
        if self.labels != other.labels:
            raise MaskfoldError(f"cannot merge {self.labels} and {other.labels}: task and names must agree")
        self._counts = self._counts + other._counts
        return self

    def compute(self) -> dict[str, float]:
        """All scores of the images so far, in [0, 1]; nan where no image or class is left to score.

        acc: share of the pixels that are right (multilabel: of the labelled pixels of all classes, how many were
            found); macc: its mean over the classes of the labels.
        miou_d, mdice_d: counts summed over the set, then the mean over classes. A class that is predicted but
            in no label scores 0; one that is neither leaves the mean.
        miou_i, mdice_i: per image the mean over the classes in its label, then over images.
        miou_c, mdice_c: per class the mean over the images whose label has it, then over classes.
        ..._worst5: the same over the lowest 5 % of images (i) or of each class's images (c), at least one.
        Images without a valid pixel count nowhere.
        """
        counts = self.counts
        total = counts.sum(0)
        result = {
            "acc": float(ratio(total[:, TP].sum(), total[:, [TP, FN]].sum())),
            "macc": float(nan_mean(accuracy(total))),
        }
        for name, score in SCORES.items():
            table = of_present(counts, score)
            result[f"m{name}_d"] = float(nan_mean(score(total)))
            result |= {f"m{name}_i": mean_i(table), f"m{name}_c": mean_c(table)}
            for q in self.worst:
                result |= {f"m{name}_i_worst{q}": mean_i(table, q), f"m{name}_c_worst{q}": mean_c(table, q)}
        return result

    def per_class(self) -> "pd.DataFrame":
        """One row per class: its images and pixels, TP, FP, FN, accuracy, IoU and Dice (d, c and c_worst)."""
        import pandas as pd  # only the tables need it

        counts = self.counts
        total = counts.sum(0)
        labelled = counts[..., TP] + counts[..., FN]
        columns = {"images": (labelled > 0).sum(0), "pixels": labelled.sum(0)}
        columns |= {"tp": total[:, TP], "fp": total[:, FP], "fn": total[:, FN], "acc": accuracy(total)}
        for name, score in SCORES.items():
            table = of_present(counts, score)
            columns[f"{name}_d"] = score(total)
            columns[f"{name}_c"] = [worst_mean(column) for column in table.T]
            for q in self.worst:
                columns[f"{name}_c_worst{q}"] = [worst_mean(column, q) for column in table.T]
        return pd.DataFrame(columns, index=pd.Index(self.labels.value_names, name="class"))

    def per_image(self) -> "pd.DataFrame":
        """One row per image, in the order of the updates: pixels that count, accuracy, mean IoU, mean Dice, IoUs.

        nan where a class is not in the image's label, and all along an image without a valid pixel.
        """
        import pandas as pd

        counts = self.counts
        pixels = counts[..., [TP, FN]].sum((1, 2))
        columns = {"pixels": pixels, "acc": ratio(counts[..., TP].sum(1), pixels)}
        columns |= {f"m{name}": nan_mean(of_present(counts, score)) for name, score in SCORES.items()}
        table = of_present(counts, iou)
        columns |= {f"iou_{name}": table[:, c] for c, name in enumerate(self.labels.value_names)}
        return pd.DataFrame(columns, index=pd.RangeIndex(len(counts), name="image"))
