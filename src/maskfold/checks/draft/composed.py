"""Ids whose parts are spread over a path, such as case1_day2_slice_0003 in case1/case1_day2/scans/slice_0003_*.png."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence

from maskfold.checks.draft.places import COMPARED, Places, spread
from maskfold.competitions.patterns import Pattern

SEPARATORS = ("_", "-")


def composed_places(ids: Sequence[str], paths: Sequence[str]) -> Places:
    """Where the images of ids are whose parts are words of a path; nowhere where they are not."""
    ids = spread(list(dict.fromkeys(ids)), COMPARED)
    for separator in SEPARATORS:
        rows = [image_id.split(separator) for image_id in ids]
        if len({len(row) for row in rows}) == 1 and len(rows[0]) > 1 and len(rows) > 1:
            fields = _fields(rows)
            found = _places(ids, rows, fields, separator, paths)
            if found.found:
                return found
    return Places(tried=len(ids))


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


def _places(
    ids: Sequence[str], rows: Sequence[Sequence[str]], fields: Sequence[str], separator: str, paths: Sequence[str]
) -> Places:
    votes: Counter[str] = Counter()
    for row in rows:
        parts = {part: field for part, field in zip(row, fields, strict=True) if field}
        votes.update({text for path in paths for text in _patterns(path, parts)})
    if not votes:
        return Places(tried=len(ids))
    best = max(votes, key=lambda text: (votes[text], "*" not in text))
    id_pattern = separator.join(f"{{{field}}}" if field else part for part, field in zip(rows[0], fields, strict=True))
    form = Pattern(id_pattern)
    matched = Counter(_key(values) for path in paths if (values := Pattern(best).match(path)))
    found = sum(matched[_key(values)] == 1 for image_id in ids if (values := form.match(image_id)))
    return Places((best,), ("",), found, len(ids), id_pattern=id_pattern)


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


def _key(values: dict[str, str]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(values.items()))
