"""Which images the page about a competition's files shows as examples: of both splits, of each class, of each group."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from maskfold.checks import DataReport
from maskfold.competitions import ImagePath
from maskfold.errors import first_few
from maskfold.picks import evenly_spaced

SPREAD = 24  # over all masks that are not empty
EMPTY = 6
PER_CLASS, PER_GROUP = 6, 3
MOST_GROUPS = 50
MOST_TRAIN, MOST_TEST = 300, 100


@dataclass(frozen=True)
class Example:
    """An image of a split, the classes that its mask holds, and its group, empty where it is not known."""

    id: str
    path: ImagePath
    split: str
    classes: tuple[str, ...] = ()
    group: str = ""
    coverage: float = 0.0

    @property
    def text(self) -> str:
        """What is said about it."""
        if self.split == "test":
            return "test"
        held = first_few(self.classes) if self.classes else "empty"
        group = f"; group {self.group}" if self.group else ""
        return f"covers {self.coverage:.1%}: {held}{group}" if self.classes else f"{held}{group}"


def examples(report: DataReport) -> list[Example]:
    """Training images in the order of the table, then test images."""
    return [*_train(report), *_test(report)]


def _train(report: DataReport) -> Iterator[Example]:
    masks, groups = report.masks, {} if report.folds is None else report.folds.groups
    table, labels = masks.table, masks.labels
    first = 0 if labels.task == "multilabel" or (labels.exclusive and labels.value_names[0] != "background") else 1
    classes = range(first, len(labels.value_names))
    filled, empty = (np.flatnonzero(table["coverage"].to_numpy(float) > 0), np.flatnonzero(table["coverage"] == 0))
    chosen = dict.fromkeys([*evenly_spaced(filled.tolist(), SPREAD), *evenly_spaced(empty.tolist(), EMPTY)])
    each = max(1, min(PER_CLASS, MOST_TRAIN // (2 * len(classes))))
    for value in classes:
        holding = np.flatnonzero(masks.counts[:, value])
        by_size = holding[np.argsort(masks.counts[holding, value], kind="stable")]
        chosen |= dict.fromkeys(evenly_spaced(by_size.tolist(), each))
    for own in _largest_groups([groups.get(id_, "") for id_ in table["id"]]):
        chosen |= dict.fromkeys(evenly_spaced(own.tolist(), PER_GROUP))
    for row in sorted(list(chosen)[:MOST_TRAIN]):
        id_, path, coverage = table["id"].iloc[row], table["path"].iloc[row], float(table["coverage"].iloc[row])
        held = tuple(labels.value_names[value] for value in classes if masks.counts[row, value])
        yield Example(id_, path, "train", held, groups.get(id_, ""), coverage)


def _test(report: DataReport) -> Iterator[Example]:
    table = report.images.table
    for row in evenly_spaced(report.images.rows_of("test").tolist(), MOST_TEST):
        yield Example(table["id"].iloc[row], table["path"].iloc[row], "test")


def _largest_groups(groups: list[str]) -> Iterator[np.ndarray]:
    """The rows of each group, of many groups of those with the most images."""
    known = np.array(groups, str)
    names, counts = np.unique(known[known != ""], return_counts=True)
    for name in names[np.argsort(-counts, kind="stable")[:MOST_GROUPS]]:
        yield np.flatnonzero(known == name)
