"""Paths described by patterns, such as ``leftImg8bit/{split}/**/{id}_leftImg8bit.png``.

In a pattern

- ``{name}`` is a field: one character or more, but no ``/``. ``{name:d}`` is a whole number, with no further digit
  beside it, ``{name:1-5}`` one in this range; ``{name=a|b}`` is one of these words. A field that stands twice has the
  same value in both places.
- ``*`` is any number of characters but no ``/``; ``**/`` any number of folders, also none.
- everything else stands for itself.
"""

import re
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from functools import cached_property
from itertools import islice, takewhile
from typing import Annotated

from pydantic import AfterValidator

from maskfold.competitions.files import CompetitionFiles, safe_path
from maskfold.errors import CompetitionError, first_few

_TOKEN = re.compile(
    r"""
    \{(?P<field>[a-z_]+)(?:(?P<digits>:d|:(?P<first>[0-9]+)-(?P<last>[0-9]+))|=(?P<words>[\w.|-]+))?\}
    | (?P<folders>(?<![^/])\*\*/)
    | (?P<any>\*(?!\*)(?<!\*\*))
    | (?P<other>[{}*])
    """,
    re.VERBOSE,
)


class Pattern:
    """A pattern of paths inside a competition's folder.

    Attributes:
        text: as it was written.
        fields: the names of its fields, each once, in order.

    Raises:
        CompetitionError: a brace that is no field such as {id} or {number:d}; a ``**`` that is no folder's name.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self.fields: tuple[str, ...] = ()
        self._ranges: dict[str, range] = {}
        self._regex = re.compile(self._translate())
        tokens = [token for token in _TOKEN.finditer(text) if token["field"]]
        starts = [0, *(token.end() for token in tokens)]
        self._pieces = [
            (text[start : token.start()], token["field"]) for start, token in zip(starts, tokens, strict=False)
        ]
        self._end = text[starts[-1] :]

    def __repr__(self) -> str:
        return f"Pattern({self.text!r})"

    @property
    def fixed(self) -> bool:
        """Whether the fields' values say the whole path."""
        return "*" not in self.text

    @cached_property
    def unambiguous(self) -> bool:
        """Whether paths can be read in one way only: no name has two parts that vary, nor are there two ``**/``."""
        names = self.text.replace("**/", "").split("/")
        return self.text.count("**/") < 2 and all(len(_TOKEN.findall(name)) < 2 for name in names)

    @property
    def folder(self) -> str:
        """The folders before the first that depends on anything; empty where there are none."""
        return re.split(r"[{*]", self.text, maxsplit=1)[0].rpartition("/")[0]

    def match(self, path: str) -> dict[str, str] | None:
        """The fields' values in ``path``; `None` where it is none of the pattern's."""
        found = self._regex.fullmatch(path)
        if found is None or any(int(found[name]) not in numbers for name, numbers in self._ranges.items()):
            return None
        return found.groupdict()

    def fill(self, values: Mapping[str, str]) -> str:
        """The path of these values, of which there may be more than fields; only where the pattern is `fixed`.

        Raises:
            CompetitionError: a field without a value, or a path that leaves the competition's folder.
        """
        lacking = [name for name in self.fields if name not in values]
        if lacking:
            raise CompetitionError(
                f"the pattern {self.text} has the field {', '.join(lacking)}, of which nothing is known here (known: "
                f"{', '.join(values)})"
            )
        return safe_path("".join([before + values[field] for before, field in self._pieces]) + self._end)

    def find(self, files: CompetitionFiles) -> dict[str, dict[str, str]]:
        """Path -> values of the fields, of every file that the pattern describes, sorted by path."""
        depth = None if "**/" in self.text else self.text.count("/")
        found = ((path, self.match(path)) for path in files.below(self.folder, depth))
        return {path: values for path, values in found if values is not None}

    def known(self, values: Mapping[str, str]) -> tuple[str, re.Pattern[str]]:
        """Of the paths in which fields have these values: what all begin with, and an expression that they match."""
        prefix, parts, position, literal = "", [], 0, True
        for token in _TOKEN.finditer(self.text):
            before, value = self.text[position : token.start()], values.get(token["field"] or "")
            prefix += f"{before}{value or ''}" if literal else ""
            literal = literal and value is not None
            other = "(?:[^/]+/)*" if token["folders"] else "[^/]*" if token["any"] else "[^/]+"
            parts += [re.escape(before), other if value is None else re.escape(value)]
            position = token.end()
        return prefix, re.compile("".join([*parts, re.escape(self.text[position:])]))

    def _translate(self) -> str:
        parts, position = [], 0
        for token in _TOKEN.finditer(self.text):
            parts.append(re.escape(self.text[position : token.start()]))
            parts.append(self._expression(token))
            position = token.end()
        return "".join([*parts, re.escape(self.text[position:])])

    def _expression(self, token: re.Match[str]) -> str:
        name = token["field"]
        if token["folders"]:
            return "(?:[^/]+/)*"
        if token["other"]:
            raise CompetitionError(
                f"the pattern {self.text} cannot be read: fields are written {{id}}, or {{number:d}} and "
                "{number:1-5} where they are numbers, {name=a|b} where they are one of some words; * stands for any "
                "characters and **/ for any folders"
            )
        if token["any"]:
            return "[^/]*"
        if name in self.fields:
            return f"(?P={name})"
        self.fields = (*self.fields, name)
        if token["first"]:
            self._ranges[name] = range(int(token["first"]), int(token["last"]) + 1)
        if token["words"]:
            return f"(?P<{name}>{'|'.join(map(re.escape, token['words'].split('|')))})"
        return f"(?P<{name}>[^/]+?)" if not token["digits"] else f"(?<![0-9])(?P<{name}>[0-9]+)(?![0-9])"


def images_alone(found: Mapping[str, Mapping[str, str]], labels: Sequence[Pattern]) -> dict[str, Mapping[str, str]]:
    """The files of ``found`` (path -> fields) that are not the label of another one, as a_mask.png is of a.png."""
    known = [{tuple(values.get(name) for name in label.fields) for values in found.values()} for label in labels]

    def is_label(path: str) -> bool:
        matched = (label.match(path) for label in labels)
        return any(own and tuple(own.values()) in ids for own, ids in zip(matched, known, strict=True))

    return {path: values for path, values in found.items() if not is_label(path)}


def _readable(text: str) -> str:
    Pattern(text)
    return text


PatternText = Annotated[str, AfterValidator(_readable)]
"""A key of a profile that holds a pattern."""


class PathLookup:
    """The path that a pattern describes, by the values of fields. A pattern with ``*`` is looked up in the files.

    Values may be of some of the pattern's fields, as long as one file fits them.
    """

    def __init__(self, pattern: Pattern, files: CompetitionFiles) -> None:
        self.pattern = pattern
        self._files = files
        self._by_values: dict[tuple[str, ...], dict[tuple[str, ...], list[str]]] = {}

    def path(self, values: Mapping[str, str]) -> str:
        """The path of these values. Where the pattern is `Pattern.fixed`, nobody has looked whether it is there.

        Raises:
            CompetitionError: no file, or several.
        """
        if self.pattern.fixed and set(self.pattern.fields) <= set(values):
            return self.pattern.fill(values)
        known = tuple(name for name in self.pattern.fields if name in values)
        key = tuple(values[name] for name in known)
        found = self._index(known).get(key) or self._read_otherwise(values)
        if len(found) != 1:
            shown = ", ".join(f"{name} {value}" for name, value in zip(known, key, strict=True))
            what = f"{len(found)} files ({first_few(found)})" if found else "no file"
            raise CompetitionError(f"{what} of the pattern {self.pattern.text} with {shown}: expected one")
        return found[0]

    def _index(self, fields: tuple[str, ...]) -> dict[tuple[str, ...], list[str]]:
        if fields not in self._by_values:
            index = self._by_values.setdefault(fields, {})
            for path, values in self._found.items():
                index.setdefault(tuple(values[name] for name in fields), []).append(path)
        return self._by_values[fields]

    def _read_otherwise(self, values: Mapping[str, str]) -> list[str]:
        """Files of values that the index does not have: it knows one reading of a path, of {id}_*.png may be several.

        Looking costs a pass through many files. Where there is no other reading nothing is to be found, unless a value
        holds folders, as ids may.
        """
        if self.pattern.unambiguous and not any("/" in value for value in values.values()):
            return []
        prefix, expression = self.pattern.known(values)
        start = bisect_left(self._paths, prefix)
        near = takewhile(lambda path: path.startswith(prefix), islice(self._paths, start, None))
        return [path for path in near if expression.fullmatch(path)]

    @cached_property
    def _paths(self) -> list[str]:
        return list(self._found)

    @cached_property
    def _found(self) -> dict[str, dict[str, str]]:
        return self.pattern.find(self._files)
