"""Where the image of an id is: patterns of paths, found by looking ids up in the names of files and folders."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import PurePosixPath

from maskfold.competitions.patterns import Pattern
from maskfold.picks import every_nth

# Ids that are looked up, spread over the table; each of fewer ids is compared with every path where none is a name.
LOOKED_UP, COMPARED = 400, 30
# A pattern counts where so many of the ids that have a file at all have it there.
MOST = 0.95
LABEL_WORD = re.compile(
    r"(?<![a-z])([a-z]*masks?|[a-z]*labels?|gts?|ground ?truths?|annot(ation)?s?|segmentations?|truths?|targets?)"
    r"(?![a-z])"
)


def about_labels(path: str) -> bool:
    """Whether a path's words say that it is of masks."""
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", path.replace("{id}", ""))
    return LABEL_WORD.search(words.lower().replace("_", " ")) is not None


@dataclass(frozen=True)
class Places:
    """Where the images of ids are.

    Attributes:
        patterns: of the files of an image, in order; empty where no id is in any path.
        roots: folders that the patterns are below, more than one where images are spread over them.
        found: ids looked up that have all files.
        tried: ids looked up.
        others: patterns that would fit as well and are not used.
        id_pattern: the fields of an id, where patterns are made of these; None: they are made of ``{id}``.
    """

    patterns: tuple[str, ...] = ()
    roots: tuple[str, ...] = ()
    found: int = 0
    tried: int = 0
    others: tuple[str, ...] = ()
    id_pattern: str | None = None

    @property
    def share(self) -> float:
        """Of the ids looked up, those that have a file."""
        return self.found / self.tried if self.tried else 0.0


class ImagePaths:
    """The paths of all images in a folder, looked up by what they are made of."""

    def __init__(self, paths: Iterable[str]) -> None:
        self.paths = tuple(paths)

    @cached_property
    def _parts(self) -> dict[str, list[str]]:
        """Name, stem, folder or whole path -> paths."""
        found: dict[str, list[str]] = {}
        for path in self.paths:
            parts = path.split("/")
            keys = {*parts, parts[-1].rpartition(".")[0], path, path.rpartition(".")[0]}
            for key in keys:
                found.setdefault(key, []).append(path)
        return found

    def has(self, word: str) -> bool:
        """Whether a path, a file's name with or without its suffix, or a folder is called so."""
        return word in self._parts

    def places(self, ids: Sequence[str]) -> Places:
        """Where the images of ids are."""
        ids = every_nth(list(dict.fromkeys(ids)), LOOKED_UP)
        by_pattern: dict[str, set[str]] = {}
        for image_id in ids:
            for path in self._parts.get(image_id, ()):
                by_pattern.setdefault(_pattern(path, image_id), set()).add(image_id)
        if not by_pattern:
            ids = every_nth(ids, COMPARED)
            for image_id, path in self._containing(ids):
                by_pattern.setdefault(_pattern(path, image_id), set()).add(image_id)
        return _choose(by_pattern, len(ids))

    def without_row(self, places: Places, *named: Iterable[str]) -> list[str]:
        """The ids of images at ``places`` that are none of those ``named``."""
        known = set().union(*named)
        patterns = [Pattern(f"{root}/{places.patterns[0]}" if root else places.patterns[0]) for root in places.roots]
        found = (pattern.match(path) for path in self.paths for pattern in patterns)
        ids = {values["id"] for values in found if values is not None and "id" in values}
        return sorted(ids - known)

    def _containing(self, ids: Sequence[str]) -> Iterator[tuple[str, str]]:
        """(id, path) where the id is a part of a name: not within a longer word or number."""
        for image_id in ids:
            inside = re.compile(rf"(?<![A-Za-z0-9]){re.escape(image_id)}(?![A-Za-z0-9])")
            yield from ((image_id, path) for path in self.paths if image_id in path and inside.search(path))


def _pattern(path: str, image_id: str) -> str:
    return (
        path.replace(image_id, "{id}")
        if "/" in image_id
        else "/".join(_part(part, image_id) for part in path.split("/"))
    )


def _part(part: str, image_id: str) -> str:
    return re.sub(rf"(?<![A-Za-z0-9]){re.escape(image_id)}(?![A-Za-z0-9])", "{id}", part)


def _choose(by_pattern: dict[str, set[str]], tried: int) -> Places:
    images = {pattern: ids for pattern, ids in by_pattern.items() if not about_labels(pattern)} or by_pattern
    images = _of_any_suffix(images)
    if not images:
        return Places(tried=tried)
    everywhere = set().union(*images.values())
    whole = [pattern for pattern, ids in images.items() if len(ids) >= MOST * len(everywhere)]
    if whole:
        chosen = _files_of_one_image(whole)
        found = set.intersection(*(images[pattern] for pattern in chosen))
        return Places(tuple(chosen), ("",), len(found), tried, tuple(sorted(set(whole) - set(chosen))))
    return _spread_over_folders(images, tried)


def _of_any_suffix(images: dict[str, set[str]]) -> dict[str, set[str]]:
    """Patterns that differ in the suffix alone, and of which no id has two files, become one that ends in ``.*``."""
    by_stem: dict[str, list[str]] = {}
    for pattern in images:
        by_stem.setdefault(pattern.rpartition(".")[0], []).append(pattern)
    merged: dict[str, set[str]] = {}
    for stem, patterns in by_stem.items():
        ids = set().union(*(images[pattern] for pattern in patterns))
        apart = sum(len(images[pattern]) for pattern in patterns) == len(ids)
        dots = any("." in image_id for image_id in ids)  # of {id}.* could be read in several ways
        if stem and len(patterns) > 1 and apart and not dots:
            merged[f"{stem}.*"] = ids
        else:
            merged |= {pattern: images[pattern] for pattern in patterns}
    return merged


def _files_of_one_image(patterns: Sequence[str]) -> list[str]:
    """The patterns beside each other that differ in a file's name only, of the most usual folder."""
    folders = Counter(_folder(pattern) for pattern in patterns)
    best = min(folders, key=lambda folder: (-folders[folder], len(folder), folder))
    beside = sorted(pattern for pattern in patterns if _folder(pattern) == best)
    kinds = {PurePosixPath(pattern).suffix.lower() for pattern in beside}
    if len(kinds) == len(beside) > 1:  # the same picture in several formats
        return beside[:1]
    return beside


def _folder(pattern: str) -> str:
    return pattern.rpartition("/")[0]


def _spread_over_folders(images: dict[str, set[str]], tried: int) -> Places:
    """One pattern below several folders, else the most usual pattern."""
    below: dict[str, dict[str, set[str]]] = {}
    for pattern, ids in images.items():
        before = pattern.partition("{id}")[0].rpartition("/")[0]
        own = pattern[len(before) + 1 :] if before else pattern
        below.setdefault(own, {})[before] = ids
    own, roots = max(below.items(), key=lambda item: len(set().union(*item[1].values())))
    found = len(set().union(*roots.values()))
    if len(roots) > 1:
        return Places((own,), tuple(sorted(roots)), found, tried)
    (root,) = roots
    chosen = f"{root}/{own}" if root else own
    return Places((chosen,), ("",), found, tried, tuple(sorted(set(images) - {chosen})))
