"""Images beside their labels: families of files of one form, and which family holds the labels of which."""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import PurePosixPath

from maskfold.checks.draft.places import about_labels
from maskfold.competitions.samples import ImagePath

# Of the smaller family's files, those that need a partner.
PARTNERS = 0.9
SPLIT_WORD = re.compile(r"(?<![a-z])(train(ing)?|val(id(ation)?)?|test(ing)?|eval)(?![a-z])")
_DELIMITERS = "_-. "


@dataclass(frozen=True)
class Family:
    """Files of one form.

    Attributes:
        pattern: with ``{id}`` where they differ, and * for folders that are alike.
        paths: id -> path.
        beside: patterns of further files of the same ids, which belong to one image.
    """

    pattern: str
    paths: dict[str, str] = field(repr=False)
    beside: tuple[str, ...] = ()

    def files(self, name: str) -> ImagePath:
        """The files of an id."""
        further = tuple(pattern.replace("{id}", name) for pattern in self.beside)
        return (self.paths[name], *further) if further else self.paths[name]

    @property
    def image(self) -> str | list[str]:
        """As a profile names it."""
        return [self.pattern, *self.beside] if self.beside else self.pattern

    @property
    def of_labels(self) -> bool:
        """Whether a word in the pattern says so."""
        return about_labels(self.pattern)

    @property
    def split(self) -> str:
        """train, valid, test, or "" where no word says it."""
        words = [match[0][:3] for match in SPLIT_WORD.finditer(re.sub(r"[_-]", " ", self.pattern.lower()))]
        return {"tra": "train", "val": "valid", "tes": "test", "eva": "test"}[words[-1]] if words else ""

    @property
    def frame(self) -> str:
        """The pattern without what says split or labels: families of one kind in several splits share it."""
        return SPLIT_WORD.sub("", self.pattern.lower())


@dataclass(frozen=True)
class Pair:
    """A family of images and one of their labels."""

    images: Family
    labels: Family

    @property
    def common(self) -> list[str]:
        """The ids of both, sorted."""
        return sorted(self.images.paths.keys() & self.labels.paths.keys())


def families(paths: Iterable[str]) -> list[Family]:
    """All families of two files or more, those below folders that are alike as one."""
    by_form: dict[tuple[str, str], list[str]] = {}
    for path in paths:
        pure = PurePosixPath(path)
        by_form.setdefault((str(pure.parent), pure.suffix), []).append(path)
    found = [family for (_, suffix), group in sorted(by_form.items()) for family in _of_one_folder(group, suffix)]
    return _merged(found)


def id_folders(paths: Iterable[str]) -> list[Family]:
    """Families of files below a folder for each id: ``train/{id}/mask.png``; pictures of the same ids are one."""
    found: dict[str, dict[str, str]] = {}
    for path in paths:
        *folders, name = path.split("/")
        for place, folder in enumerate(folders):
            pattern = "/".join([*folders[:place], "{id}", *folders[place + 1 :], name])
            found.setdefault(pattern, {})[folder] = path
    joined: dict[tuple[str, frozenset[str]], list[Family]] = {}
    for pattern, own in sorted(found.items()):
        if len(own) > 1 and not any(_is_a_word(folder) for folder in own):
            family = Family(pattern, own)
            kind = pattern if family.of_labels else ""
            joined.setdefault((pattern.partition("{id}")[0] + kind, frozenset(own)), []).append(family)
    return [
        Family(group[0].pattern, group[0].paths, tuple(family.pattern for family in group[1:]))
        for group in joined.values()
    ]


def _is_a_word(folder: str) -> bool:
    """Whether a folder's name says what is in it, so that it is no id."""
    return any((about_labels(folder), SPLIT_WORD.search(folder.lower()), _IMAGES.search(folder.lower())))


def pairs(found: Sequence[Family], of_labels: Callable[[Family], bool]) -> list[Pair]:
    """Each family of images with the family of labels that fits it best, and any further ones behind."""
    labels = [family for family in found if of_labels(family)]
    images = [family for family in found if family not in labels]
    matched = [(image, label) for image in images for label in labels if _partners(image, label)]
    return [
        Pair(image, label)
        for image in images
        for label in sorted((own for other, own in matched if other is image), key=lambda own: _rank(image, own))
    ]


def _partners(image: Family, label: Family) -> bool:
    common = image.paths.keys() & label.paths.keys()
    enough = len(common) >= max(2, PARTNERS * min(len(image.paths), len(label.paths)))
    return enough and (not image.split or not label.split or image.split == label.split)


def _rank(image: Family, label: Family) -> tuple[bool, bool, int, int]:
    """Labels by number before colours and instances, many before few, near before far."""
    levels = zip(image.pattern.split("/"), label.pattern.split("/"), strict=False)
    words = label.pattern.lower()
    return (
        "instance" in words,
        re.search("colou?r|vis", words) is not None,
        -len(image.paths.keys() & label.paths.keys()),
        -sum(1 for _ in takewhile(lambda level: level[0] == level[1], levels)),
    )


def _of_one_folder(paths: Sequence[str], suffix: str) -> Iterator[Family]:
    """Families by what stands behind the last delimiter, where several files share it."""
    stems = {path: path.rpartition("/")[2].removesuffix(suffix) for path in paths}
    groups: dict[str, list[str]] = {}
    for path, stem in stems.items():
        tail = re.split(r"[_\-. ]", stem)[-1]
        groups.setdefault(tail if re.search("[A-Za-z]", tail) and tail != stem else "", []).append(path)
    plain = [path for group in groups.values() if len(group) < 2 for path in group]
    large = {tail: group for tail, group in groups.items() if len(group) > 1 and (tail or len(group) + len(plain) > 1)}
    if len(large) > 4 or ("" in large and len(large[""]) > len(paths) // 2):
        large, plain = {"": list(paths)}, []
    if plain:
        large[""] = sorted({*large.get("", []), *plain})
    for group in large.values():
        if len(group) > 1:
            yield _family(group, {path: stems[path] for path in group}, suffix)


def _family(paths: Sequence[str], stems: dict[str, str], suffix: str) -> Family:
    after = _cut(_common([stem[::-1] for stem in stems.values()]))[::-1]
    before = _cut(_common(list(stems.values())))
    word = before if LABELLED.search(before.lower()) else ""
    folder = paths[0].rpartition("/")[0]
    ids = {stem[len(word) : len(stem) - len(after)]: path for path, stem in stems.items()}
    return Family(f"{folder}/{word}{{id}}{after}{suffix}" if folder else f"{word}{{id}}{after}{suffix}", ids)


# What stands before the id where images and labels differ in it.
LABELLED = re.compile(r"^(mask|label|gt|img|image|sat|seg|annot\w*|rgb)[_\-. ]$")


def _common(texts: Sequence[str]) -> str:
    """What all texts begin with."""
    first, last = min(texts), max(texts)
    same = (place for place, (one, two) in enumerate(zip(first, last, strict=False)) if one != two)
    return first[: next(same, min(len(first), len(last)))]


def _cut(text: str) -> str:
    """Up to its last delimiter that stands beside letters: digits belong to the id."""
    place = max((text.rfind(delimiter) for delimiter in _DELIMITERS), default=-1)
    cut = text[: place + 1]
    return cut if re.search("[A-Za-z]", cut) else ""


def _merged(found: Sequence[Family]) -> list[Family]:
    """Families below folders beside each other, of which no name is a word, become one with * for the folder."""
    by_frame: dict[tuple[str, str], list[Family]] = {}
    for family in found:
        folder, _, name = family.pattern.rpartition("/")
        parent, _, own = folder.rpartition("/")
        free = own and not _is_a_word(own)
        by_frame.setdefault((f"{parent}/*/{name}" if parent else f"*/{name}", "" if free else own), []).append(family)
    merged = []
    for (pattern, own), group in by_frame.items():
        ids = [image_id for family in group for image_id in family.paths]
        if own or len(group) < 2 or len(set(ids)) < len(ids):
            merged += group
        else:
            merged.append(Family(pattern, {name: path for family in group for name, path in family.paths.items()}))
    return merged


_IMAGES = re.compile(r"ima?ge?s?|pics?|photos?|rgb|jpe?g")
