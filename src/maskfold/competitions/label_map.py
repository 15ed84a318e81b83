"""What the values or colours of label files stand for: a profile's ``label_map``, and the way back to a submission."""

import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Annotated, Any, NamedTuple

import numpy as np
from pydantic import AfterValidator

from maskfold.errors import CompetitionError, first_few
from maskfold.labels import Label

# What label files hold where a pixel does not count; nothing but a file holds it.
NOT_SCORED = 255
OTHERS = "others"

_NUMBERS = re.compile(r"([0-9]{1,9})(?:-([0-9]{1,9}))?")
_UNKNOWN = -1
_FORM = (
    "expected values (7), ranges (19-22) or colours (red green blue: 0 255 255, or ranges of them: 0-127 128-255 "
    f"128-255), and {OTHERS} for all that is not named; each with a class, or {NOT_SCORED} where they are not scored; "
    "a range of values also with a range of as many classes"
)


class _Entry(NamedTuple):
    """Bounds (first, last), one of a value or three of a colour, and the class of the first value.

    ``step`` is 1 where the next value is the next class, 0 where all values are of one class.
    """

    bounds: tuple[tuple[int, int], ...]
    label: int
    step: int


class LabelMap:
    """Value or colour -> class, or `NOT_SCORED`.

    Of several entries for a value the first counts. So ``{0: 0, 255: 1, 1-127: 0, 128-254: 1}`` reads masks that are
    not quite black and white, and writes 0 and 255: a class is written as the first value that is named for it.

    Args:
        entries: of a profile: ``{"7": "0", "19-22": "6-9", "others": "255"}``.

    Raises:
        CompetitionError: entries that cannot be read, colours beside values, values that no file can hold.
    """

    def __init__(self, entries: Mapping[str, str]) -> None:
        self._entries = tuple(_parsed(key, value) for key, value in entries.items() if key != OTHERS)
        self._others = _single(OTHERS, entries[OTHERS]) if OTHERS in entries else _UNKNOWN
        kinds = {len(entry.bounds) for entry in self._entries}
        if kinds not in ({1}, {3}):
            raise CompetitionError(f"label_map holds {first_few(entries, 8) or 'nothing'}: {_FORM}, of one kind")
        self.colours = kinds == {3}

    @classmethod
    def of(cls, entries: Mapping[str, str] | None) -> "LabelMap | None":
        """The map of a profile's entries; `None` where it has none."""
        return None if entries is None else cls(entries)

    def check(self, names: tuple[str, ...]) -> None:
        """Whether there is a value for each of the classes 0 … of these names, and none for other classes.

        Raises:
            CompetitionError: classes without a value, values of classes that there are not.
        """
        named = {*self._classes(), self._others} - {NOT_SCORED, _UNKNOWN}
        strange = sorted(named - set(range(len(names))))
        without = [f"{index} ({name})" for index, name in enumerate(names) if index not in set(self._classes())]
        if strange or without:
            found = f"the classes {first_few(strange)}, of which there are no names" if strange else ""
            lacking = f"no value for the classes {first_few(without)}" if without else ""
            problems = " and ".join(filter(None, (found, lacking)))
            raise CompetitionError(f"label_map has {problems}: there are the classes 0..{len(names) - 1}")

    def label(self, values: np.ndarray, name: str) -> Label:
        """The label of a file's values.

        Args:
            values: whole numbers (H, W); or uint8 (H, W, 3), red, green and blue.
            name: the file's, for errors.

        Raises:
            CompetitionError: values or colours that are not named.
        """
        if values.dtype.kind not in "ui" or values.min() < 0 or values.max() > 65535:
            raise CompetitionError(f"{name} holds {values.dtype} up to {values.max()}, expected whole numbers 0..65535")
        table = _table(self._entries, self._others, self.colours)
        classes = table[_packed(values) if self.colours else values]
        if (classes == _UNKNOWN).any():
            self._refuse(values[classes == _UNKNOWN], name)
        valid = classes != NOT_SCORED
        return Label(np.where(valid, classes, 0).astype(np.uint8), valid)

    def values(self, mask: np.ndarray) -> np.ndarray:
        """What a submission holds for a mask of classes (H, W): numbers (H, W), or colours, uint8 (H, W, 3)."""
        firsts: dict[int, tuple[int, ...]] = {}
        for entry, value, label in self._written():
            firsts.setdefault(label, tuple(low for low, _ in entry.bounds) if self.colours else (value,))
        table = np.zeros((max(firsts) + 1, 3 if self.colours else 1), np.uint16)
        for label, value in firsts.items():
            table[label] = value
        written = table[mask] if self.colours else table[mask][..., 0]
        return written.astype(np.uint8) if self.colours or table[: mask.max() + 1].max() < 256 else written

    def _written(self) -> Iterator[tuple[_Entry, int, int]]:
        for entry in self._entries:
            (first, last), *_ = entry.bounds
            for value in range(first, last + 1 if entry.step else first + 1):
                yield entry, value, entry.label + (value - first) * entry.step

    def _classes(self) -> Iterator[int]:
        return (label for _, _, label in self._written())

    def _refuse(self, values: np.ndarray, name: str) -> None:
        found = np.unique(values, axis=0).tolist()
        shown = [" ".join(map(str, value)) if self.colours else value for value in found]
        what = "colours (red green blue)" if self.colours else "values"
        raise CompetitionError(
            f"{name} holds the {what} {first_few(shown, 8)}, which label_map does not name: write their classes into "
            f"it, or '{OTHERS}: {NOT_SCORED}' for all that are not named and not scored"
        )


@cache
def _table(entries: tuple[_Entry, ...], others: int, colours: bool) -> np.ndarray:
    """Class of every value 0..65535, or of every colour, packed; int16."""
    table = np.full((256, 256, 256) if colours else (65536,), others, np.int16)
    for entry in reversed(entries):  # the first entry counts: it is written last
        place = tuple(slice(first, last + 1) for first, last in entry.bounds)
        first, last = entry.bounds[0]
        table[place] = entry.label + entry.step * np.arange(last - first + 1) if entry.step else entry.label
    return table.reshape(-1)


def _packed(colours: np.ndarray) -> np.ndarray:
    red, green, blue = (colours[..., channel].astype(np.int32) for channel in range(3))
    return (red << 16) | (green << 8) | blue


def _parsed(key: str, value: str) -> _Entry:
    bounds = tuple(_bounds(part, key) for part in key.split())
    first, last = _bounds(value, key)
    most = 255 if len(bounds) == 3 else 65535
    if len(bounds) not in (1, 3) or any(high > most for _, high in bounds) or last > NOT_SCORED:
        raise _unreadable(key, value)
    if first != last and (len(bounds) == 3 or bounds[0][1] - bounds[0][0] != last - first or last == NOT_SCORED):
        raise _unreadable(key, value)
    return _Entry(bounds, first, int(first != last))


def _bounds(text: str, key: str) -> tuple[int, int]:
    found = _NUMBERS.fullmatch(text.strip())
    if found is None or int(found[2] or found[1]) < int(found[1]):
        raise _unreadable(key, text)
    return int(found[1]), int(found[2] or found[1])


def _single(key: str, value: str) -> int:
    first, last = _bounds(value, key)
    if first != last or last > NOT_SCORED:
        raise _unreadable(key, value)
    return first


def _unreadable(key: str, value: Any) -> CompetitionError:
    return CompetitionError(f"label_map has the entry '{key}: {value}', which cannot be read: {_FORM}")


def _readable(entries: dict[str, str] | None) -> dict[str, str] | None:
    if entries is not None:
        LabelMap(entries)
    return entries


LabelMapEntries = Annotated[dict[str, str] | None, AfterValidator(_readable)]
"""A profile's key ``label_map``."""
