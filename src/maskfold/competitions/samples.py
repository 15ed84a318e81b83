"""The one table that every layout hands on, and the checks it has passed."""

from collections.abc import Sequence
from io import BytesIO
from pathlib import PurePosixPath
from typing import Any, Literal

import pandas as pd

from maskfold.competitions.errors import CompetitionError, first_few
from maskfold.competitions.files import ContestFiles
from maskfold.competitions.table import refuse_duplicates
from maskfold.config import GroupConfig

Part = Literal["train", "test"]
COLUMNS = ("id", "image", "group", "masks", "split")


def sample_table(
    rows: Sequence[dict[str, Any]], files: ContestFiles, *, source: str, group: GroupConfig | None = None
) -> pd.DataFrame:
    """Rows (dicts with some of `COLUMNS`) as a table sorted by id; absent values are None.

    Raises:
        CompetitionError: duplicate ids, images that are not there, ids without a group.
    """
    refuse_duplicates((row["id"] for row in rows), source)
    missing = [row["image"] for row in rows if not files.exists(row["image"])]
    if missing:
        raise CompetitionError(
            f"{source} names {len(missing)} images that are not in {files.root}: {first_few(missing)}"
        )
    ordered = sorted(rows, key=lambda row: row["id"])
    columns = {column: [row.get(column) for row in ordered] for column in COLUMNS}
    samples = pd.DataFrame({name: pd.Series(values, dtype=object) for name, values in columns.items()})
    if group is not None:
        samples["group"] = pd.Series(read_groups(files, group, samples), dtype=object)
    return samples


def read_groups(files: ContestFiles, group: GroupConfig, samples: pd.DataFrame) -> list[str]:
    """The group of every sample, from a CSV of the contest; its rows are named by id, file name or stem.

    Raises:
        CompetitionError: missing file or columns, a name with two groups, samples without a group.
    """
    names = read_columns(files, group.file, group.id, group.column)
    refuse_duplicates((name for name, _ in names), group.file)
    groups = dict(names)
    found = []
    for image_id, image in zip(samples["id"], samples["image"], strict=True):
        path = PurePosixPath(image)
        found.append(next((groups[key] for key in (image_id, path.name, path.stem) if key in groups), None))
    without = [image_id for image_id, value in zip(samples["id"], found, strict=True) if value is None]
    if without:
        raise CompetitionError(
            f"{group.file} has no row for {len(without)} images: {first_few(without)} "
            f"(looked for in its column {group.id})"
        )
    return found


def read_columns(files: ContestFiles, name: str, *columns: str) -> list[tuple[str, ...]]:
    """Rows of the named columns, as text, of a comma-separated CSV with a header.

    Raises:
        CompetitionError: missing file or columns.
    """
    data = BytesIO(files.read(name))
    try:
        table = pd.read_csv(data, dtype=str, keep_default_na=False)
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise CompetitionError(f"{name} is not a CSV separated by commas: {error}") from None
    absent = [column for column in columns if column not in table]
    if absent:
        raise CompetitionError(
            f"{name} has the columns {', '.join(table.columns)}, expected also {', '.join(absent)}"
        )
    return list(table[list(columns)].itertuples(index=False, name=None))
