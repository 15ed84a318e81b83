"""The one table that every layout hands on, and the checks it has passed."""

from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import PurePosixPath
from typing import Any, Literal

import pandas as pd

from maskfold.competitions.files import CompetitionFiles
from maskfold.competitions.table import duplicates
from maskfold.config import GroupConfig
from maskfold.errors import CompetitionError, first_few, raise_all

Split = Literal["train", "test"]
COLUMNS = ("id", "image", "group", "masks", "split")


@dataclass(frozen=True)
class Survey:
    """One split of a competition: the samples that can be used, and everything that is wrong with the others."""

    samples: pd.DataFrame
    problems: tuple[str, ...] = ()

    def checked(self) -> pd.DataFrame:
        """The samples.

        Raises:
            CompetitionError: there are problems; all of them in one message.
        """
        raise_all(self.problems)
        return self.samples


def survey_rows(
    rows: Sequence[dict[str, Any]],
    files: CompetitionFiles,
    *,
    source: str,
    group: GroupConfig | None = None,
    problems: Sequence[str] = (),
) -> Survey:
    """Rows (dicts with some of `COLUMNS`) as a table sorted by id; absent values are None.

    Added to ``problems``: duplicate ids (the first row stays), images that are not there (left out), what is
    wrong with the groups (the samples stay).
    """
    found = [*problems, *duplicates((row["id"] for row in rows), source)]
    unique = {row["id"]: row for row in reversed(rows)}
    present = [unique[image_id] for image_id in sorted(unique) if files.exists(unique[image_id]["image"])]
    missing = [image for image in dict.fromkeys(row["image"] for row in rows) if not files.exists(image)]
    if missing:
        found.append(f"{source} names {len(missing)} images that are not in {files.root}: {first_few(missing)}")
    samples = sample_table(present)
    if group is not None:
        try:
            samples["group"] = pd.Series(read_groups(files, group, samples), dtype=object)
        except CompetitionError as error:
            found.append(str(error))
    return Survey(samples, tuple(found))


def sample_table(rows: Sequence[dict[str, Any]]) -> pd.DataFrame:
    """Rows (dicts with some of `COLUMNS`) as they come; absent values are None, every column has dtype object."""
    columns = {column: [row.get(column) for row in rows] for column in COLUMNS}
    return pd.DataFrame({name: pd.Series(values, dtype=object) for name, values in columns.items()})


def read_groups(files: CompetitionFiles, group: GroupConfig, samples: pd.DataFrame) -> list[str]:
    """The group of every sample, from a CSV of the competition; its rows are named by id, file name or stem.

    Raises:
        CompetitionError: missing file or columns, a name with two groups, samples without a group.
    """
    names = read_columns(files, group.file, group.id, group.column)
    problems = duplicates((name for name, _ in names), group.file)
    groups = dict(names)
    found = []
    for image_id, image in zip(samples["id"], samples["image"], strict=True):
        path = PurePosixPath(image)
        found.append(next((groups[key] for key in (image_id, path.name, path.stem) if key in groups), None))
    without = [image_id for image_id, value in zip(samples["id"], found, strict=True) if value is None]
    if without:
        problems.append(
            f"{group.file} has no row for {len(without)} images: {first_few(without)} "
            f"(looked for in its column {group.id})"
        )
    raise_all(problems)
    return found


def read_columns(files: CompetitionFiles, name: str, *columns: str) -> list[tuple[str, ...]]:
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
        raise CompetitionError(f"{name} has the columns {', '.join(table.columns)}, expected also {', '.join(absent)}")
    return list(table[list(columns)].itertuples(index=False, name=None))
