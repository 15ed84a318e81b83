"""The number a competition ranks by, from per-image statistics.

Validation, tuning, cross-fitting, merging of processes and the bootstrap all need the score of some selection
of images. So a metric is split in two: `image_stats` looks at the pixels of an image once, `score` turns the
rows of any selection into the competition's number.

Where the pixels of several images have to be seen together (the slices of a volume), these are a *unit*: what
`image_stats` finds of its images is turned into their rows by `unit_stats`.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar, get_args

import numpy as np

from maskfold.errors import MaskfoldError
from maskfold.instances import plain
from maskfold.labels import Label, LabelSpec, Task
from maskfold.metrics.arrays import nan_mean


class CompetitionMetric(ABC):
    """Higher is better. Rows of two sets (or processes) are merged by concatenation.

    Options of a metric are keyword arguments of the constructor.

    Attributes:
        name: as configs and reports call it.
        tasks: that it can score.
        costs: what a false positive and a false negative cost, (a, b), where the score is, or grows with, a ratio
            TP / (TP + a FP + b FN); None: it is not of this kind. The loss of soft labels follows from them.
        scores_instances: whether it tells the objects of a class apart, see `maskfold.instances`.
        of_sums: whether `score` depends on the sums of the statistics over the images alone, NaN counted as 0.
        labels: of the masks.
        class_names: what `per_class` has a score of; empty where it has none.
    """

    name: str
    tasks: ClassVar[tuple[Task, ...]] = get_args(Task)
    costs: tuple[float, float] | None = None
    scores_instances: ClassVar[bool] = False
    of_sums: ClassVar[bool] = False

    def __init__(self, labels: LabelSpec) -> None:
        if labels.task not in self.tasks:
            raise MaskfoldError(
                f"the metric {self.name} scores {' and '.join(self.tasks)} masks, and the task is {labels.task}: "
                "use miou, or a metric of your own as package.module:Name"
            )
        self.labels = labels
        self.class_names: tuple[str, ...] = ()

    @abstractmethod
    def image_stats(self, mask: np.ndarray, label: Label) -> np.ndarray:
        """float64 (k,), all that `score` needs of one image; of a part of a unit, what `unit_stats` needs of it.

        mask: what was predicted, uint8, see `maskfold.labels`; where instances are scored it may be a mask of them.
        label: the truth, hard labels of the mask's shape.
        """

    def stats_of(self, mask: np.ndarray, label: Label) -> np.ndarray:
        """`image_stats` of a mask, in which instances may be told apart even where they are not scored.

        Nor are they where the label does not tell them apart: what is submitted does not either.
        """
        told_apart = self.scores_instances and label.instances is not None
        return self.image_stats(mask if told_apart else plain(mask), label)

    def unit(self, image_id: str) -> str:
        """The unit that an image is a part of: images of one unit are scored together."""
        return image_id

    def unit_stats(self, found: Sequence[np.ndarray]) -> np.ndarray:
        """float64 (m, k): the rows of a unit's m images, from what `image_stats` found, in the order of their ids."""
        return np.stack(found)

    @abstractmethod
    def per_image(self, stats: np.ndarray) -> np.ndarray:
        """A score of each image, (..., n, k) -> (..., n), nan for an image without a valid pixel."""

    def per_class(self, stats: np.ndarray) -> np.ndarray:
        """The score of each of ``class_names`` over the set, (n, k) -> (C,)."""
        return np.empty(0)

    def score(self, stats: np.ndarray) -> np.ndarray | float:
        """The competition's number, (n, k) -> a float, (..., n, k) -> (...); nan when no image can be scored."""
        return nan_mean(self.per_image(stats))[()]


class CountedMetric(CompetitionMetric):
    """A metric that needs no more of an image than its counts, wherever they were counted."""

    @abstractmethod
    def stats_of_counts(self, counts: np.ndarray) -> np.ndarray:
        """`image_stats` of the counts of one image, int64 (V, 3), see `mask_counts`; all its pixels count."""


def units_of(metric: CompetitionMetric, ids: Sequence[str]) -> dict[str, list[int]]:
    """Unit -> places of its images among ``ids``, sorted by id."""
    units: dict[str, list[int]] = {}
    for place in sorted(range(len(ids)), key=lambda place: ids[place]):
        units.setdefault(metric.unit(ids[place]), []).append(place)
    return units


def gathered_stats(metric: CompetitionMetric, ids: Sequence[str], found: Sequence[np.ndarray]) -> np.ndarray:
    """float64 (n, k): a row for each of the images ``ids``, from what `CompetitionMetric.image_stats` found in each."""
    rows: dict[int, np.ndarray] = {}
    for places in units_of(metric, ids).values():
        rows |= zip(places, metric.unit_stats([found[place] for place in places]), strict=True)
    return np.stack([rows[place] for place in range(len(ids))])
