"""``folds.csv``: written once, and read back only where it fits the data set."""

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from maskfold.datasets.folds import COLUMNS
from maskfold.errors import FoldsError, first_few


def write_folds(folds: pd.DataFrame) -> bytes:
    """The table of `make_folds` as the content of ``folds.csv``."""
    return folds[COLUMNS].to_csv(index=False, lineterminator="\n").encode()


def read_folds(
    content: bytes, path: Path, ids: Sequence[str], groups: Sequence[str] | np.ndarray | None = None
) -> pd.DataFrame:
    """Read the content of ``folds.csv`` and check it against the data set.

    Args:
        content: of the file.
        path: named in errors.
        ids: ids of the training samples.
        groups: (n,) group of each of ``ids``; given, no group may stand on both sides of a fold.

    Returns:
        The table as `make_folds` made it.

    Raises:
        FoldsError: no or another file, ids of another data set, an image or a group in both splits of a fold,
            folds that are not numbered 0, 1, …, or that lack a split.
    """
    folds = _read_table(content, path)
    _check_ids(folds, ids, path)
    _check_numbers(folds, path)
    for fold, rows in folds.groupby("fold"):
        _check_parts(rows, f"{path}, fold {fold}")
    if groups is not None:
        check_groups(folds, dict(zip(ids, groups, strict=True)), path)
    return folds


def fold_splits(folds: pd.DataFrame, fold: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Training (columns id, times) and validation (column id) images of one fold, sorted as in ``folds``.

    Raises:
        FoldsError: there is no such fold.
    """
    numbers = sorted(folds["fold"].unique())
    if fold not in numbers:
        raise FoldsError(f"there is no fold {fold}: the folds are {', '.join(map(str, numbers))}")
    rows = folds[folds["fold"] == fold]
    train, valid = (rows[rows["split"] == split] for split in ("train", "valid"))
    return train[["id", "times"]].reset_index(drop=True), valid[["id"]].reset_index(drop=True)


def validates_alike(a: pd.DataFrame, b: pd.DataFrame, fold: int) -> bool:
    """Whether a fold has the same validation images in two tables; not where one of them lacks the fold."""
    valid = [set(table["id"][(table["fold"] == fold) & (table["split"] == "valid")]) for table in (a, b)]
    return bool(valid[0]) and valid[0] == valid[1]


def trained_ids(content: bytes, path: Path, fold: str) -> set[str]:
    """Images that the networks of a fold (its number, or ``all``) were trained on, of any data set.

    Args:
        content: of the run's ``folds.csv``.
        path: named in errors.

    Raises:
        FoldsError: another file, or there is no such fold.
    """
    folds = _read_table(content, path)
    train = folds if fold == "all" else fold_splits(folds, int(fold))[0]
    return set(train["id"])


def check_groups(folds: pd.DataFrame, group_of: dict[str, str], source: object) -> None:
    """Raise FoldsError where a group stands in both splits of a fold."""
    groups = folds["id"].map(group_of)
    for fold, rows in folds.groupby("fold"):
        sides = [set(groups[rows.index[rows["split"] == split]]) for split in ("train", "valid")]
        leaks = sorted(sides[0] & sides[1])
        if leaks:
            raise FoldsError(
                f"{source}, fold {fold}: {len(leaks)} groups are both in train and in valid: {first_few(leaks)}; their "
                "validation score would be too good, so make the folds again with these groups"
            )


def _read_table(content: bytes, path: Path) -> pd.DataFrame:
    try:
        table = pd.read_csv(io.BytesIO(content), dtype=str, keep_default_na=False)
    except ValueError as error:  # the base of pandas' own, and of those of encodings
        raise FoldsError(f"{path} is not a CSV file: {' '.join(str(error).split())}") from None
    if not isinstance(table.index, pd.RangeIndex):
        raise FoldsError(f"{path} has rows of more fields than columns")
    table = table.fillna("")
    if list(table.columns) != COLUMNS:
        raise FoldsError(f"{path} has the columns {', '.join(table.columns)}: expected {', '.join(COLUMNS)}")
    for column, least in (("fold", 0), ("times", 1)):
        wrong = table.loc[~table[column].str.fullmatch(r"[0-9]{1,9}"), column]
        if not wrong.empty:
            raise FoldsError(f"{path}, line {wrong.index[0] + 2}: {column} is '{wrong.iloc[0]}', expected a number")
        table[column] = table[column].astype(int)
        if (table[column] < least).any():
            raise FoldsError(f"{path}: {column} is {table[column].min()}, expected at least {least}")
    strange = sorted(set(table["split"]) - {"train", "valid"})
    if strange:
        raise FoldsError(f"{path} has the splits {first_few(strange)}: expected train and valid")
    return table


def _check_ids(folds: pd.DataFrame, ids: Sequence[str], path: Path) -> None:
    written, present = set(folds["id"]), set(ids)
    unknown, missing = sorted(written - present), sorted(present - written)
    problems = []
    if unknown:
        problems.append(f"{len(unknown)} of its ids are not in the data set ({first_few(unknown)})")
    if missing:
        problems.append(f"{len(missing)} images of the data set are not in it ({first_few(missing)})")
    if problems:
        raise FoldsError(
            f"{path} belongs to another data set: {' and '.join(problems)}; start a run of another name, or make the "
            "folds again"
        )


def _check_numbers(folds: pd.DataFrame, path: Path) -> None:
    numbers = sorted(folds["fold"].unique())
    if numbers != list(range(len(numbers))):
        raise FoldsError(f"{path} has the folds {', '.join(map(str, numbers))}: expected 0, 1, 2 … without a gap")


def _check_parts(rows: pd.DataFrame, where: str) -> None:
    twice = sorted(rows.loc[rows["id"].duplicated(), "id"].unique())
    if twice:
        raise FoldsError(f"{where}: {len(twice)} ids are in two rows: {first_few(twice)}")
    for split in ("train", "valid"):
        if not (rows["split"] == split).any():
            raise FoldsError(f"{where} has no {split} images: expected both splits")
    if (rows.loc[rows["split"] == "valid", "times"] != 1).any():
        raise FoldsError(f"{where}: times of validation images must be 1")
