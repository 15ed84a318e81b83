"""Text files with a line for each image: its id, or the paths of image and label."""

from collections.abc import Iterable, Iterator, Set
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Literal

from maskfold.competitions.files import CompetitionFiles, decode_text
from maskfold.errors import CompetitionError

SUFFIXES = frozenset({".txt", ".lst", ".list"})
# Of a list's lines, those that must name images.
NAMED = 0.95
SEPARATORS = (None, ",", "\t", ";")

Split = Literal["train", "valid", "test"]
_WORDS: dict[str, Split] = {"train": "train", "val": "valid", "valid": "valid", "test": "test"}


@dataclass(frozen=True)
class IdList:
    """A file with an id per line."""

    path: str
    split: Split
    count: int


@dataclass(frozen=True)
class FileLists:
    """Files with lines ``image label``.

    Attributes:
        paths: split -> the file.
        separator: between image and label; None: blanks.
        pairs: (image, label) of all lines; the label is "" where a line has none.
    """

    paths: dict[Split, str]
    separator: str | None
    pairs: tuple[tuple[str, str], ...]


def id_lists(files: CompetitionFiles, ids: Set[str]) -> list[IdList]:
    """The lists of ids that are called train, val or test; those of segmentation go before others."""
    found: dict[Split, IdList] = {}
    for path, lines in _lists(files):
        split = _WORDS.get(PurePosixPath(path).stem.lower())
        named = sum(line in ids for line in lines)
        better = split is not None and (split not in found or "seg" in path.lower())
        if split is not None and better and lines and named >= NAMED * len(lines):
            found[split] = IdList(path, split, named)
    return list(found.values())


def file_lists(files: CompetitionFiles, paths: Set[str]) -> FileLists | None:
    """The lists that name images with their labels; None where there are none."""
    lists: dict[Split, str] = {}
    pairs: list[tuple[str, str]] = []
    separator = None
    for path, lines in _lists(files):
        for candidate in SEPARATORS:
            rows = [tuple(cell.strip() for cell in line.split(candidate)) for line in lines]
            if not rows or sum(set(row) <= paths and len(row) <= 2 for row in rows) < NAMED * len(rows):
                continue
            split = _split_of(path, labelled=all(len(row) == 2 for row in rows))
            if split is not None and split not in lists:
                lists[split] = path
                pairs += [(row[0], row[1] if len(row) == 2 else "") for row in rows]
                separator = candidate if len(rows[0]) == 2 else separator
            break
    return FileLists(lists, separator, tuple(pairs)) if "train" in lists else None


def _split_of(path: str, *, labelled: bool) -> Split | None:
    name = PurePosixPath(path).stem.lower()
    for word, split in _WORDS.items():
        if word in name:
            return split if labelled or split == "test" else None
    return "train" if labelled else None


def _lists(files: CompetitionFiles) -> Iterator[tuple[str, list[str]]]:
    for path in _texts(files.below("")):
        try:
            lines = decode_text(files.read(path), path).splitlines()
        except CompetitionError:
            continue
        yield path, [line.strip() for line in lines if line.strip()]


def _texts(paths: Iterable[str]) -> list[str]:
    return sorted(
        (path for path in paths if PurePosixPath(path).suffix.lower() in SUFFIXES),
        key=lambda path: (path.count("/"), path),
    )
