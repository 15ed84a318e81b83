"""What the columns and rows of a table of masks are: the image, the class, the mask; a row for each of what."""

import re
from collections import Counter
from collections.abc import Sequence, Set
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

from maskfold.checks.draft.composed import composed_places
from maskfold.checks.draft.places import ImagePaths, Places
from maskfold.checks.draft.tables import RUNS, Table
from maskfold.competitions.images import IMAGE_SUFFIXES
from maskfold.picks import every_nth

CLASS_SEPARATORS = ("_", "-", ":", "|", "/", " ", ".")
MOST_CLASSES = 256
# Of the images with a mask, those with several rows: so few are mistakes, more have rows of instances.
FEW = 0.1
CLASS_WORD = re.compile(r"class|label|categor|defect|type|kind|organ|species", re.IGNORECASE)


@dataclass(frozen=True)
class Roles:
    """The columns of a table of masks.

    Attributes:
        table: the table.
        id: column of the image.
        mask: column of the run lengths.
        value: column of the class; None where there is none.
        separator: where the column of the image also holds the class: what stands between the two.
        places: where the images are.
    """

    table: Table
    id: int
    mask: int
    value: int | None
    separator: str | None
    places: Places

    @cached_property
    def images(self) -> list[str]:
        """The image of each row."""
        return [head for head, _ in self._split]

    @cached_property
    def classes(self) -> list[str]:
        """The class of each row; empty texts where rows have none."""
        return (
            [""] * len(self.table.cells)
            if self.value is None and self.separator is None
            else [tail for _, tail in self._split]
            if self.value is None
            else self.table.values(self.value)
        )

    @cached_property
    def masks(self) -> list[str]:
        """The cell of run lengths of each row."""
        return self.table.cells[self.mask].tolist()

    @property
    def rows(self) -> Literal["image", "class", "instance"]:
        """What a row is of."""
        if self.value is not None or self.separator is not None:
            return "class"
        filled = {image for image, text in zip(self.images, self.masks, strict=True) if RUNS.fullmatch(text)}
        return "instance" if len(self.repeated) > FEW * len(filled) else "image"

    @property
    def several(self) -> bool:
        """Whether an image has several rows."""
        return len(set(self.images)) < len(self.images)

    @cached_property
    def repeated(self) -> list[str]:
        """The images of which several rows differ: a row that stands there twice is one."""
        rows = set(zip(self.images, self.classes, self.masks, strict=True))
        return sorted(image for image, count in Counter(image for image, _, _ in rows).items() if count > 1)

    @property
    def like_classes(self) -> list[int]:
        """Columns that are called like a class and have as few values as one, but are not taken for it."""
        others = [column for column in self.table.columns if column not in (self.id, self.mask, self.value)]
        return [column for column in others if _named(self.table, column) and _few(self.table.values(column))]

    def differs(self, column: int) -> bool:
        """Whether rows of one image have several values there."""
        pairs = zip(self.images, self.table.values(column), strict=True)
        return len(set(pairs)) > len(set(self.images))

    def settled(self, test: "Roles | None") -> "Roles":
        """The training table's, when the table of a submission is known.

        What is said of images that have one row each is the mask's class only where a submission has classes, too; else
        it may be anything, such as the organ that an image shows.
        """
        if self.value is None or self.repeated or (test is not None and test.rows == "class"):
            return self
        return replace(self, value=None)

    @cached_property
    def _split(self) -> list[tuple[str, str]]:
        ids = self.table.values(self.id)
        return [(text, "") for text in ids] if self.separator is None else split_ids(ids, self.separator)


def split_ids(ids: Sequence[str], separator: str) -> list[tuple[str, str]]:
    """(image, class) of ids that hold both; the last separator counts."""
    parts = (text.rpartition(separator) for text in ids)
    return [(head, tail) if between else (tail, "") for head, between, tail in parts]


def find_roles(table: Table, mask: int, images: ImagePaths, id_pattern: str | None = None) -> Roles:
    """The roles of a table's columns, of which that of the masks is known, and perhaps the fields of ids."""
    others = [column for column in table.columns if column != mask]
    others = [column for column in others if table.name(column)] or others  # but for the numbers of rows
    found = [(column, *_look_up(table.values(column), images, id_pattern)) for column in others]
    column, places, separator = max(found, key=lambda item: item[1].share)
    if not places.found:
        column = max(others, key=lambda place: len(set(table.values(place))))
    value = None if separator is not None else _class_column(table, column, mask)
    return Roles(table, column, mask, value, separator, places)


def _look_up(ids: Sequence[str], images: ImagePaths, id_pattern: str | None) -> tuple[Places, str | None]:
    """Where the images of a column's texts are, and what separates image and class in them, if anything does."""
    direct = images.places(ids)
    if direct.share >= 0.5:
        return direct, None
    best, chosen = direct, None
    for separator in CLASS_SEPARATORS:
        pairs = split_ids(ids, separator) if all(separator in text for text in ids) else []
        if not _are_classes({tail for _, tail in pairs}, len(pairs)):
            continue
        places = images.places([head for head, _ in pairs])
        if places.share > best.share:
            best, chosen = places, separator
    composed = composed_places(ids, images.paths, id_pattern)
    return (composed, None) if composed.found and composed.share >= best.share else (best, chosen)


def _are_classes(tails: Set[str], rows: int) -> bool:
    """Whether what ids end in may be classes: several, but few of them, and not the suffixes of files."""
    suffixes = any(f".{tail}".lower() in IMAGE_SUFFIXES for tail in tails)
    return 1 < len(tails) <= min(MOST_CLASSES, rows // 2) and "" not in tails and not suffixes


def _class_column(table: Table, image: int, mask: int) -> int | None:
    """The column that, with the image, names a row: few values, and each of an image's rows another."""
    ids, masks = table.values(image), table.cells[mask]
    for column in (place for place in table.columns if place not in (image, mask)):
        values = table.values(column)
        rows = set(zip(ids, values, masks, strict=True))
        distinct = len({(name, value) for name, value, _ in rows}) == len(rows)
        repeated = len(rows) > len(set(ids))
        if distinct and _few(values) and (repeated or _named(table, column)):
            return column
    return None


def _few(values: Sequence[str]) -> bool:
    """Whether these may be classes: several, but few of them, and no run lengths."""
    few = 1 < len(set(values)) <= min(MOST_CLASSES, max(2, len(values) // 2))
    return few and not any(RUNS.fullmatch(value) for value in every_nth(values, 100))


def _named(table: Table, column: int) -> bool:
    """Whether a column is called like a class."""
    return CLASS_WORD.search(table.name(column)) is not None
