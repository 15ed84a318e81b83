"""A competition's CSV of masks: read by the profile's form, rows gathered per image."""

import codecs
import csv
import re
from collections.abc import Iterable, Iterator, Mapping
from io import StringIO
from pathlib import Path
from typing import Any, TextIO

import pandas as pd

from maskfold.competitions.files import decode_text
from maskfold.competitions.profile import CsvProfile
from maskfold.errors import LISTED, CompetitionError, first_few, raise_all, repeated

PIECE = 500  # rows of a submission that are held at once
AS_TEXT: dict[str, Any] = {"dtype": str, "keep_default_na": False}

Key = tuple[str, str]
"""(id, class value); the class value is "" where a row is not of one class."""


def read_table(
    profile: CsvProfile,
    data: bytes,
    source: str,
    *,
    exact: bool = False,
    annotator: str | None = None,
    rowless: bool = False,
) -> pd.DataFrame:
    """Columns ``id``, ``class``, ``mask``, all text, in the file's order; an empty mask is "".

    With ``annotator``, the name of a further column (without a header: the last one), a column ``annotator``.

    Blanks around the names of columns and images are not part of them. ``exact`` takes everything as it is, as a
    competition does with a submission: no further columns, no other order, no byte order mark, only UTF-8. A table of
    nothing but a header is refused unless it may be ``rowless``.

    Raises:
        CompetitionError: an unreadable file, columns that do not fit, ids that lack their class.
    """
    text = _exact_text(data, source) if exact else decode_text(data, source)
    cells = _read_cells(text, profile.separator, source)
    roles = {**profile.columns, **({} if annotator is None else {"annotator": annotator})}
    cells = cells.set_axis(_column_names(cells, list(roles.values()), profile, source, exact), axis=1)
    cells = cells.iloc[1:] if profile.header else cells
    if cells.empty and not rowless:
        raise CompetitionError(f"{source} holds nothing but its header")
    return _by_role(cells, roles, profile, source, exact=exact)


def column_names(profile: CsvProfile, text: str) -> list[str]:
    """The names in a table's first row, without the blanks around them; where the form has no header, the profile's."""
    if not profile.header:
        return list(profile.columns.values())
    first = next(csv.reader(StringIO(text, newline=""), delimiter=profile.separator), [])
    return [name.strip() for name in first]


def read_pieces(profile: CsvProfile, path: Path) -> Iterator[pd.DataFrame]:
    """`read_table` of a submission, ``exact``, some rows at a time: however large it is, it is never held whole.

    Raises:
        CompetitionError: as `read_table`.
    """
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            yield from _pieces(profile, _Checked(stream, profile.separator), path.name)
    except (CompetitionError, ValueError) as error:  # the base of pandas' own, and of what is not UTF-8
        read_table(profile, path.read_bytes(), path.name, exact=True)  # says what is wrong with all of it
        raise CompetitionError(f"{path.name} cannot be read: {error}") from None


def _pieces(profile: CsvProfile, text: "_Checked", source: str) -> Iterator[pd.DataFrame]:
    names: list[str] = []
    rows = 0
    for cells in pd.read_csv(text, chunksize=PIECE, sep=profile.separator, header=None, **AS_TEXT):
        cells = cells.fillna("")
        if not names:
            names = _column_names(cells, list(profile.columns.values()), profile, source, exact=True)
            cells = cells.iloc[1:] if profile.header else cells
        rows += len(cells)
        yield _by_role(cells.set_axis(names, axis=1), profile.columns, profile, source, exact=True)
    if not rows or text.cut_off:
        raise CompetitionError("it holds nothing but its header, or ends within a row")


class _Checked:
    """A stream of text that refuses what pandas would take in silence, and knows whether it is `cut_off`."""

    def __init__(self, stream: TextIO, separator: str) -> None:
        self.stream, self.separator = stream, separator
        self.begun, self.last, self.several = False, "", False

    def __iter__(self) -> Iterator[str]:
        return iter(self.stream)

    def read(self, size: int = -1) -> str:
        """The next characters."""
        text = self.stream.read(size)
        if "\0" in text or (not self.begun and text.startswith("\ufeff")):
            raise CompetitionError("it holds a NUL character, or begins with a byte order mark")
        self.begun = True
        line = max(text.rfind("\n"), text.rfind("\r")) + 1
        self.last = text[line:] if line else self.last + text
        self.several = self.several or self.separator in text
        return text

    @property
    def cut_off(self) -> bool:
        """Whether the last row lacks columns and its end."""
        return bool(self.last) and self.separator not in self.last and self.several


def _by_role(
    cells: pd.DataFrame, roles: Mapping[Any, str], profile: CsvProfile, source: str, *, exact: bool
) -> pd.DataFrame:
    """What `read_table` returns, of cells under their columns' names."""
    _refuse_broken_names(cells, [name for role, name in roles.items() if role != "mask"], source)
    table = pd.DataFrame({role: cells[column] for role, column in roles.items()}, dtype=object)
    if not exact:
        for role in set(table) - {"mask"}:
            table[role] = table[role].str.strip()
    if profile.class_separator is not None:
        parts = table["id"].str.rpartition(profile.class_separator)
        whole = table["id"][parts[0] == ""]
        if len(whole):
            raise CompetitionError(
                f"{source}: {len(whole)} ids are not of the form image{profile.class_separator}class: "
                f"{first_few(whole)}"
            )
        table["id"], table["class"] = parts[0], parts[2]
    elif "class" not in table:
        table["class"] = ""
    return table[["id", "class", "mask", *(role for role in roles if role == "annotator")]]


def write_table(profile: CsvProfile, rows: Iterable[tuple[str, str, str]], path: Path) -> None:
    """Write (id, class value, mask) rows in the profile's form; the inverse of `read_table`."""
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, delimiter=profile.separator, lineterminator="\n")
        if profile.header:
            writer.writerow(profile.columns.values())
        for image, value, mask in rows:
            name = image if profile.class_separator is None else f"{image}{profile.class_separator}{value}"
            fields = {"id": name, "class": value, "mask": mask}
            writer.writerow(fields[role] for role in profile.columns)


def keys(table: pd.DataFrame) -> list[Key]:
    """(id, class value) of every row."""
    return list(zip(table["id"], table["class"], strict=True))


def key_name(key: Key) -> str:
    """A row as messages call it."""
    image, value = key
    return f"{image} (class {value})" if value else image


def gather_masks(profile: CsvProfile, table: pd.DataFrame, source: str) -> dict[str, tuple[str, ...]]:
    """id -> run-length strings: one; one per class (1..C-1, "" where there is no row); or one per instance.

    Raises:
        CompetitionError: duplicate rows, classes that the profile does not know.
    """
    masks, problems = survey_masks(profile, table, source)
    raise_all(problems)
    return masks


def survey_masks(profile: CsvProfile, table: pd.DataFrame, source: str) -> tuple[dict[str, tuple[str, ...]], list[str]]:
    """What `gather_masks` returns, without the rows it would refuse, and a message for each kind of them.

    Of rows for the same mask the first one stays.
    """
    problems = []
    if profile.rows != "instance":
        problems += duplicates((key_name(key) for key in keys(table)), source)
        table = table.drop_duplicates(["id", "class"])
    if profile.rows == "class":
        return _survey_classes(profile, table, source, problems)
    masks: dict[str, list[str]] = {}
    for image, rle in zip(table["id"], table["mask"], strict=True):
        masks.setdefault(image, []).append(rle)
    return {image: tuple(rles) for image, rles in masks.items()}, problems


def duplicates(names: Iterable[str], source: str) -> list[str]:
    """At most one problem: the names that occur twice."""
    twice = repeated(list(names))
    return [f"{source}: {len(twice)} duplicate ids: {first_few(twice, LISTED)}"] if twice else []


def _survey_classes(
    profile: CsvProfile, table: pd.DataFrame, source: str, problems: list[str]
) -> tuple[dict[str, tuple[str, ...]], list[str]]:
    place = {value: index for index, value in enumerate(profile.csv_classes)}
    unknown = sorted(set(table["class"]) - set(place))
    if unknown:
        named = first_few(value or "none (a blank field)" for value in unknown)
        problems = [
            *problems,
            f"{source} holds the classes {named}, the profile knows {', '.join(place)}",
        ]
    rows: dict[str, list[str]] = {}
    for image, value, rle in table[table["class"].isin(place)].itertuples(index=False):
        rows.setdefault(image, [""] * len(place))[place[value]] = rle
    return {image: tuple(rles) for image, rles in rows.items()}, problems


def _exact_text(data: bytes, source: str) -> str:
    if data.startswith(codecs.BOM_UTF8):
        raise CompetitionError(
            f"{source} begins with a byte order mark, which a competition reads as part of the first field: save it as "
            "UTF-8 without one"
        )
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise CompetitionError(f"{source} is not UTF-8 text ({error}): save it as UTF-8") from None


def _read_cells(text: str, separator: str, source: str) -> pd.DataFrame:
    cells = read_cells(text, source, sep=separator, header=None)
    last = text[max(text.rfind("\n"), text.rfind("\r")) + 1 :]
    if last and separator not in last and separator in text:
        raise CompetitionError(
            f"{source} ends within row {len(cells)}, {_shown(last)}: is the file cut off? Get it again"
        )
    return cells.fillna("")


def read_cells(text: str, source: str, *, sep: str = ",", header: int | None = 0) -> pd.DataFrame:
    """The cells of a CSV as text; ``header`` is the row of column names.

    Raises:
        CompetitionError: rows of too many fields, a quote that is not closed, NUL characters, nothing at all.
    """
    if (place := text.find("\0")) >= 0:
        raise CompetitionError(
            f"{source}, line {text.count(chr(10), 0, place) + 1}, holds a NUL character: it is damaged, or not "
            "text: get it again"
        )
    try:
        cells = pd.read_csv(StringIO(text), sep=sep, header=header, **AS_TEXT)
    except ValueError as error:  # the base of pandas' own
        reason = " ".join(str(error).split())
        if row := re.search(r"EOF inside string starting at row (\d+)", reason):
            reason = f"row {int(row[1]) + 1} has a quote that is not closed"
        raise CompetitionError(f"{source} is not a CSV separated by {sep!r}: {reason}") from None
    if not isinstance(cells.index, pd.RangeIndex):  # pandas takes the first fields for the rows' names
        raise CompetitionError(f"{source} has rows of more fields than its header has columns")
    return cells


def _refuse_broken_names(cells: pd.DataFrame, columns: list[str], source: str) -> None:
    """A line break inside of a name is a quote that is closed rows later: what lies between would be lost."""
    for column in columns:
        broken = cells.index[cells[column].str.contains("[\r\n]", regex=True)]
        if len(broken):
            raise CompetitionError(
                f"{source}, row {broken[0] + 1}: {column} is {_shown(cells.loc[broken[0], column])}, with a line break "
                "in it: is there a quote that is not closed in its row?"
            )


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}…"


def _column_names(cells: pd.DataFrame, expected: list[str], profile: CsvProfile, source: str, exact: bool) -> list[str]:
    """Of the cells' columns, which are the first row's where the form has a header."""
    if not profile.header:
        if cells.shape[1] != len(expected):
            raise CompetitionError(
                f"{source} has {cells.shape[1]} columns separated by {profile.separator!r}, expected "
                f"{len(expected)} without a header: {', '.join(expected)}"
            )
        return expected
    found = list(cells.iloc[0]) if exact else [name.strip() for name in cells.iloc[0]]
    fits = found == expected if exact else set(expected) <= set(found) and len(set(found)) == len(found)
    if not fits:
        raise CompetitionError(
            f"{source} has the columns {profile.separator.join(found)}, expected {profile.separator.join(expected)}"
        )
    return found
