"""Which of a folder's tables is the sample submission."""

import re
from collections.abc import Sequence

from maskfold.checks.draft.places import ImagePaths
from maskfold.checks.draft.roles import Roles, find_roles
from maskfold.checks.draft.tables import RUNS, Table, empty_texts

SAMPLE_WORD = re.compile(r"sample|submi|subm?(?![a-z])", re.IGNORECASE)
TEST_WORD = re.compile(r"test", re.IGNORECASE)


def looks_like_a_sample(table: Table) -> bool:
    """Whether its name says so."""
    return SAMPLE_WORD.search(table.path.rpartition("/")[2]) is not None


def find_test_table(tables: Sequence[Table], train: Roles, images: ImagePaths) -> Roles | None:
    """The roles of the most plausible one; None where no table can be it."""
    others = [table for table in tables if table.path != train.table.path]
    scored = [(_score(table, train), table) for table in others]
    best = max(scored, key=lambda item: item[0], default=None)
    if best is None or best[0] < 3:
        return None
    return _roles(best[1], train, images)


def _score(table: Table, train: Roles) -> int:
    """Points for its name, the names of its columns, few columns, and masks that say nothing."""
    wanted = [train.table.name(column) for column in (train.id, train.mask)]
    named = [name for column in table.columns if (name := table.name(column))]
    if len(named) < 2 or (set(table.values(0)) == set(train.table.values(train.id)) and not looks_like_a_sample(table)):
        return 0
    last = table.cells[table.columns[-1]].tolist()
    says_nothing = len(set(last)) == 1 and (RUNS.fullmatch(last[0]) or last[0].strip() in empty_texts(last))
    points = 3 * looks_like_a_sample(table) + 1 * (TEST_WORD.search(table.path) is not None) + bool(says_nothing)
    return points + 2 * (set(wanted) <= set(named)) - 4 * (len(named) > 3)


def _roles(table: Table, train: Roles, images: ImagePaths) -> Roles:
    """The same columns as in the training table where they have the same names, else the last one holds masks."""
    if table.header is not None and train.table.header is not None and train.table.name(train.mask) in table.header:
        mask = table.header.index(train.table.name(train.mask))
    elif table.header is None and train.table.header is None and len(table.columns) == len(train.table.columns):
        mask = train.mask
    else:
        mask = table.columns[-1]
    found = find_roles(table, mask, images, train.places.id_pattern)
    named = {table.name(column): column for column in table.columns}
    column = named.get(train.table.name(train.id), found.id) if not found.places.found else found.id
    rest = [place for place in table.columns if place not in (column, mask) and table.name(place)]
    has_classes = train.value is not None or train.separator is not None
    value = rest[0] if has_classes and len(rest) == 1 and found.separator is None else None
    separator = found.separator if found.places.found else train.separator
    return Roles(table, column, mask, value, separator, found.places)
