"""Ids whose parts are spread over a path, such as case1_day2_slice_0003 in case1/case1_day2/scans/slice_0003_*.png."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath

from maskfold.checks.draft.places import COMPARED, MOST, Places, about_labels
from maskfold.competitions.images import IMAGE_SUFFIXES
from maskfold.competitions.patterns import Pattern
from maskfold.picks import every_nth

SEPARATORS = ("_", "-")


def composed_places(ids: Sequence[str], paths: Sequence[str], id_pattern: str | None = None) -> Places:
    """Where the images of ids are whose parts are words of a path; nowhere where they are not.

    Args:
        ids: of one table.
        paths: of all images and labels.
        id_pattern: the fields of the ids, where they are known from another table. Else ids are cut before the suffix
            that all have, at every separator, or at the last ones only, where the parts before differ in number.
    """
    ids = list(dict.fromkeys(ids))
    pictures = [path for path in paths if not about_labels(path)] or paths
    known = [id_pattern] if id_pattern else _id_patterns(ids) if ids else ()
    looked = every_nth(ids, COMPARED)
    found = (_places(looked, pattern, pictures) for pattern in known)
    return max(found, key=lambda places: places.found, default=Places(tried=len(looked)))


def _id_patterns(ids: Sequence[str]) -> Iterator[str]:
    """Of all ids: in some of them a part may be the same which is not in the others."""
    suffixes = {PurePosixPath(image_id).suffix for image_id in ids}
    if len(suffixes) == 1 and (suffix := suffixes.pop()).lower() in IMAGE_SUFFIXES:
        yield f"{{name}}{suffix}"
    for separator in SEPARATORS:
        for cuts in (-1, 1, 2):
            rows = [image_id.rsplit(separator, cuts) for image_id in ids]
            usual, _ = Counter(map(len, rows)).most_common(1)[0]
            rows = [row for row in rows if len(row) == usual]
            if usual > 1 and 1 < len(rows) >= MOST * len(ids):
                columns = zip(_fields(rows), zip(*rows, strict=True), strict=True)
                yield separator.join(_form(field, parts) if field else parts[0] for field, parts in columns)


def _fields(rows: Sequence[Sequence[str]]) -> list[str]:
    """A name for each part of the ids that varies; "" for those that do not."""
    names: list[str] = []
    for place, parts in enumerate(zip(*rows, strict=True)):
        if len(set(parts)) == 1:
            names.append("")
            continue
        prefixes = {re.match("[a-z]*", part)[0] for part in parts}  # pyright: ignore[reportOptionalSubscript]
        before = rows[0][place - 1] if place and not names[-1] else ""
        name = prefixes.pop() if len(prefixes) == 1 else ""
        name = name or (before if re.fullmatch("[a-z]+", before) else "")
        taken = {*names, "id", ""}
        names.append(next(word for word in (name, *(f"part_{letter}" for letter in "abcdefghij")) if word not in taken))
    return names


def _places(ids: Sequence[str], id_pattern: str, paths: Sequence[str]) -> Places:
    form = Pattern(id_pattern)
    values = [found for found in map(form.match, ids) if found]
    votes: Counter[str] = Counter()
    for fields in values:
        parts = {part: field for field, part in fields.items()}
        votes.update({text for path in paths for text in _patterns(path, parts)})
    if not votes:
        return Places(tried=len(ids))
    best = max(votes, key=lambda text: (votes[text], "*" not in text))
    matched = Counter(_key(found) for path in paths if (found := Pattern(best).match(path)))
    count = sum(matched[_key(fields)] == 1 for fields in values)
    return Places((best,), ("",), count, len(ids), id_pattern=id_pattern)


def _patterns(path: str, parts: dict[str, str]) -> Iterator[str]:
    """The path with fields for an id's parts, where it has all of them; as it is, and with an open end."""
    if not all(part in path for part in parts):
        return
    words = "|".join(re.escape(part) for part in sorted(parts, key=len, reverse=True))
    found: set[str] = set()

    def field(match: re.Match[str]) -> str:
        found.add(match[0])
        return f"{{{parts[match[0]]}}}"

    text = re.sub(rf"(?<![A-Za-z0-9])(?:{words})(?![A-Za-z0-9])", field, path)
    if found != set(parts):
        return
    yield text
    folder, _, name = text.rpartition("/")
    begin, brace, end = name.rpartition("}")
    rest, dot, suffix = end.rpartition(".")
    if brace and rest:  # what follows the field stays, so that the field ends there
        before = f"{folder}/" if folder else ""
        yield f"{before}{begin}{brace}{rest[0]}*{dot}{suffix}"


def _form(field: str, parts: Sequence[str]) -> str:
    digits = all(part.isascii() and part.isdigit() for part in parts)
    return f"{{{field}:d}}" if digits else f"{{{field}}}"


def _key(values: dict[str, str]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(values.items()))
