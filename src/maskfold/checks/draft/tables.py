"""Which of a folder's tables hold run lengths: separator, header and columns, and what each column is."""

import csv
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from io import StringIO
from itertools import islice, pairwise
from pathlib import PurePosixPath

import pandas as pd

from maskfold.checks.draft.places import ImagePaths
from maskfold.competitions.files import CompetitionFiles, decode_text
from maskfold.competitions.images import is_image
from maskfold.errors import CompetitionError
from maskfold.picks import every_nth

SUFFIXES = frozenset({".csv", ".tsv", ".txt"})
SEPARATORS = (",", "\t", ";", "|")
# Rows by which a table's separator and header are told; characters after which, behind two rows, no more are looked at.
ROWS, HEAD = 60, 1 << 20
# Cells of a column that are looked at.
CELLS = 3000
# Two numbers or more; a run without pixels, as some write for an empty mask, is none.
RUNS = re.compile(r"\s*(?!\d+\s+0\s*$)\d+(\s+\d+)+\s*")
NUMBER = re.compile(r"\s*-?\d+(\.\d+)?\s*")
# Texts beside run lengths in a column of masks: markers of empty masks, few and short.
MARKERS, MARKER_LENGTH = 5, 12


@dataclass(frozen=True)
class Table:
    """A table as it stands in its file.

    Attributes:
        path: inside the folder.
        separator: one character.
        header: the names of the columns without the blanks around them, "" of row numbers; None: its first row is data.
        cells: all text, columns 0, 1 …; an empty cell is "".
    """

    path: str
    separator: str
    header: tuple[str, ...] | None
    cells: pd.DataFrame

    def name(self, column: int) -> str:
        """The name of a column; its number from 1 where there is no header."""
        return str(column + 1) if self.header is None else self.header[column]

    def values(self, column: int) -> list[str]:
        """The cells of a column, without the blanks around them."""
        return self.cells[column].str.strip().tolist()

    @property
    def columns(self) -> range:
        """The numbers of its columns."""
        return range(self.cells.shape[1])


def read_tables(files: CompetitionFiles, images: ImagePaths) -> list[Table]:
    """All tables of two or more columns."""
    found = (_read_table(files, path, images) for path in files.below("") if _suffix(path) in SUFFIXES)
    return [table for table in found if table is not None]


def mask_column(table: Table) -> int | None:
    """The column that holds run lengths, and at most markers of empty masks beside them; None where none does."""
    counts = mask_columns(table)
    return max(counts, key=lambda place: counts[place], default=None)


def mask_columns(table: Table) -> dict[int, int]:
    """Column -> cells looked at that hold runs, of all columns that may be such."""
    counts = {column: _filled_masks(table.cells[column]) for column in table.columns}
    return {column: count for column, count in counts.items() if count}


def empty_texts(cells: Sequence[str]) -> Counter[str]:
    """What stands in a column of masks where there are no run lengths; the empty text, too."""
    return Counter(cell.strip() for cell in cells if not RUNS.fullmatch(cell))


def _filled_masks(cells: pd.Series) -> int:
    """Number of cells looked at that hold runs; 0 where other cells are no markers."""
    looked = every_nth(cells.tolist(), CELLS)
    others = {text for text in empty_texts(looked) if text}
    if len(others) > MARKERS or any(len(text) > MARKER_LENGTH for text in others):
        return 0
    return sum(RUNS.fullmatch(cell) is not None for cell in looked)


def _read_table(files: CompetitionFiles, path: str, images: ImagePaths) -> Table | None:
    try:
        text = decode_text(files.read(path), path)
    except CompetitionError:
        return None
    lines = _first_lines(text)
    separator = _separator(lines)
    if separator is None:
        return None
    rows = _rows(lines, separator)
    header = tuple(cell.strip() for cell in rows[0]) if _is_header(rows, images) else None
    try:
        cells = pd.read_csv(
            StringIO(text),
            sep=separator,
            header=None,
            dtype=str,
            keep_default_na=False,
            skiprows=int(header is not None),
        ).fillna("")
    except pd.errors.ParserError:
        return None
    except pd.errors.EmptyDataError:  # nothing but a header
        cells = pd.DataFrame(columns=range(len(rows[0])), dtype=object)
    return None if cells.shape[1] != len(rows[0]) else Table(path, separator, header, cells)


def _first_lines(text: str) -> list[str]:
    lines: list[str] = []
    length = 0
    for line in islice(StringIO(text, newline=None), ROWS):
        if length > HEAD and len(lines) > 1:
            break
        lines.append(line)
        length += len(line)
    return lines


def _separator(lines: Sequence[str]) -> str | None:
    """The character that cuts all lines into the same number of fields, of several the one that cuts most."""
    widths = {separator: {len(row) for row in _rows(lines, separator)} for separator in SEPARATORS}
    constant = {separator: min(found) for separator, found in widths.items() if len(found) == 1 and min(found) > 1}
    return max(constant, key=lambda separator: constant[separator]) if constant else None


def _rows(lines: Sequence[str], separator: str) -> list[list[str]]:
    limit = csv.field_size_limit(sum(map(len, lines)))  # Python's own, of all readers: shorter than some masks
    try:
        return [row for row in csv.reader(lines, delimiter=separator) if row]
    finally:
        csv.field_size_limit(limit)


def _is_header(rows: Sequence[Sequence[str]], images: ImagePaths) -> bool:
    """Names: different, none of them data (a number, run lengths, an image), and all there but that of row numbers."""
    first = [cell.strip() for cell in rows[0]]
    named = first[1:] if _counts([row[0] for row in rows[1:]]) else first
    if not all(named) or len(set(first)) < len(first):
        return False
    data = (RUNS.fullmatch(cell) or NUMBER.fullmatch(cell) or is_image(cell) for cell in first)
    return not any(data) and not any(images.has(cell) for cell in first)


def _counts(cells: Sequence[str]) -> bool:
    """Whether these are whole numbers that grow, as those of the rows that pandas writes under no name."""
    numbers = [int(cell) for cell in cells if cell.isascii() and cell.isdigit()]
    return len(numbers) == len(cells) and all(one < two for one, two in pairwise(numbers))


def _suffix(path: str) -> str:
    return PurePosixPath(path).suffix.lower()
