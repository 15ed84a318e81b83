"""The first lines of tables, which tell competitions apart whose files have the same names."""

import codecs
import csv
from io import StringIO

from maskfold.competitions.files import CompetitionFiles, decode_text
from maskfold.competitions.profile import CsvProfile, Profile
from maskfold.errors import CompetitionError

LONGEST = 1 << 16  # bytes of a first line that are looked at


def other_columns(profile: Profile, files: CompetitionFiles) -> list[str]:
    """``columns a, b in train.csv`` of the tables that are there and lack columns which the profile names.

    None where the profile does not say: it has no tables, or they have no header.
    """
    if not isinstance(profile, CsvProfile) or not profile.header:
        return []
    tables = ((profile.form("train"), profile.train.table), (profile.form("test"), profile.test.table))
    lacking = {
        table: sorted(set(form.columns.values()) - set(_first_line(files, table, profile.separator)))
        for form, table in tables
        if table is not None and files.exists(table)
    }
    return [f"columns {', '.join(columns)} in {table}" for table, columns in lacking.items() if columns]


def _first_line(files: CompetitionFiles, table: str, separator: str) -> list[str]:
    with files.open(table) as stream:
        data = stream.read(LONGEST)
    if not data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        data = next(iter(data.splitlines()), b"")
    try:
        line = StringIO(decode_text(data, table), newline=None).readline()
    except CompetitionError:
        return []
    return [name.strip() for name in next(csv.reader([line], delimiter=separator), [])]
