"""The classes of a table's rows: their names, and whether they overlap."""

import re
from collections import Counter
from collections.abc import Sequence

import numpy as np

from maskfold.checks.draft.draft import Draft
from maskfold.checks.draft.masks import SAMPLE, MasksByImage, by_class
from maskfold.checks.draft.pictures import size_of
from maskfold.checks.draft.roles import Roles
from maskfold.errors import CompetitionError, first_few
from maskfold.picks import every_nth
from maskfold.rle import RLEDialect, RLEError


def add_classes(draft: Draft, train: Roles, test: Roles | None, masks: MasksByImage, dialect: RLEDialect) -> None:
    """rows, task, class_names, class_values, class_separator."""
    table = train.table
    if train.rows != "class":
        _add_rows_without_class(draft, train)
        return
    values = sorted({*train.classes, *(test.classes if test else ())} - {""}, key=_natural)
    decimals = [value for value in values if value != _whole(value) and _whole(value) in values]
    values = [value for value in values if value not in decimals]
    where = (
        f"column {table.name(train.value)}"
        if train.value is not None
        else f"after the last {train.separator!r} of the ids"
    )
    draft.add("rows", "class", f"{where} holds {len(values)} values: {first_few(values, 8)}")
    if train.separator is not None:
        draft.add("class_separator", train.separator, f"stands between image and class in {table.name(train.id)}")
    overlapping, looked = _overlaps(masks, dialect)
    if overlapping:
        reason = f"pixels belong to two classes in {overlapping} of {looked} images with several classes"
        draft.add("task", "multilabel", reason)
    else:
        reason = f"no pixel belongs to two classes in {looked} images with several classes"
        draft.add("task", "multiclass", reason)
        if not looked:
            draft.doubts.append(
                "task: no image looked at has masks of two classes, so whether they overlap is not known"
            )
    words = [value for value in values if re.search(r"[^\W\d_]", value)]
    names = values if len(words) == len(values) else [f"class_{value}" for value in values]
    background = [] if overlapping else ["background"]
    draft.add("class_names", [*background, *names], "names are free: write the competition's own")
    if values != names:
        draft.add("class_values", values, "as the tables write them, in the order of class_names")
    if decimals:
        draft.doubts.append(
            f"class_values: {table.path} has {first_few(decimals)} for {first_few(map(_whole, decimals))}, as pandas "
            "writes numbers where some are missing. Write them alike in a copy of the table, without rows that have no "
            "class: with train.unlisted: empty their images count as empty"
        )
    else:
        _compare_classes(draft, train, test)


def _add_rows_without_class(draft: Draft, train: Roles) -> None:
    images, rows = len(set(train.images)), len(train.images)
    repeating = [column for column in train.like_classes if train.differs(column)]
    if train.rows == "image":
        draft.add("rows", "image", f"{rows} rows of {images} images: one for each")
        draft.doubts += _several_rows(train)
    else:
        without = "" if repeating else ", and no column of a class"
        draft.add("rows", "instance", f"{rows} rows of {images} images: several for an image{without}")
    draft.add("class_names", ["foreground"], "names are free: write the competition's own")
    draft.doubts += [_several_classes(train.table.name(column)) for column in repeating]
    draft.remarks += [_attribute(train, column) for column in train.like_classes if column not in repeating]


def _several_rows(train: Roles) -> list[str]:
    """What is said where a few images have several rows."""
    several = [image for image, count in Counter(train.images).items() if count > 1]
    if not several:
        return []
    copies = "" if train.repeated else ", copies of each other"
    return [
        f"rows: {len(several)} of {len(set(train.images))} images have several rows in {train.table.path}{copies}: "
        f"{first_few(several)}. So few are taken for mistakes, and refused: remove these rows in a copy of the table. "
        "If a row is an object, write rows: instance"
    ]


def _several_classes(name: str) -> str:
    return (
        f"rows: {name} looks like a class, but (image, class) repeats: instances of several classes are not supported, "
        "and here all rows are objects of one class. For a mask of classes unite the rows of a class in each image, "
        "in a copy of the table"
    )


def _attribute(train: Roles, column: int) -> str:
    """What is said of an image as a whole, and may be a group of the profile where the image has one row."""
    table, name = train.table, train.table.name(column)
    text = (
        f"{table.path}, column {name}: {len(set(table.values(column)))} values, one for each image: taken for an "
        "attribute of the images, not for the class of their masks"
    )
    if train.several or table.separator != ",":
        return text
    group = f"{{file: {table.path}, id: {table.name(train.id)}, column: {name}}}"
    return f"{text}. Where images of one value belong together, folds should not part them: add group: {group}"


def _compare_classes(draft: Draft, train: Roles, test: Roles | None) -> None:
    if test is not None and test.rows == "class" and test.images:
        strange = sorted(set(test.classes) ^ set(train.classes) - {""})
        if strange:
            draft.doubts.append(f"classes that only one of the two tables has: {first_few(strange)}")


def _overlaps(masks: MasksByImage, dialect: RLEDialect) -> tuple[int, int]:
    """Images in which a pixel has two classes, of the images looked at, which have several."""
    several = [(image, path) for image, path in masks.located if len(by_class(masks.rows.get(image, ()))) > 1]
    overlapping = looked = 0
    for image, path in every_nth(several, SAMPLE):
        try:
            shape = size_of(masks.files, path)
            layers = [_layer(texts, dialect, shape) for texts in by_class(masks.rows[image]).values()]
        except (CompetitionError, RLEError):
            continue
        looked += 1
        overlapping += bool((np.sum(layers, axis=0) > 1).any())
    return overlapping, looked


def _layer(texts: Sequence[str], dialect: RLEDialect, shape: tuple[int, int]) -> np.ndarray:
    return np.maximum.reduce([dialect.decode(text, shape) for text in texts])


def _whole(text: str) -> str:
    """A whole number without its decimals."""
    return re.sub(r"(\d)\.0+", r"\1", text) if re.fullmatch(r"\d+\.0+", text) else text


def _natural(text: str) -> list[tuple[int, int, str]]:
    """Numbers in texts by their size."""
    return [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in re.split(r"(\d+)", text) if part]
