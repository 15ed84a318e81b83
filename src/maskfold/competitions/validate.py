"""Does a submission have exactly the form that the competition asks for? Every problem is found in one pass."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from hashlib import blake2b
from pathlib import Path

import pandas as pd

from maskfold.competitions.competition import Competition
from maskfold.competitions.csv_layout import CsvLayout
from maskfold.competitions.label_layouts import read_mask_files
from maskfold.competitions.table import Key, key_name, keys, read_pieces
from maskfold.errors import CompetitionError, SubmissionError, first_few, repeated

Size = tuple[int, int]
SizeOf = Callable[[str], Size]


def validate_submission(path: Path, competition: Competition, *, sizes: Mapping[str, Size] | None = None) -> None:
    """Check a submission against the competition's sample (or, for label files, its list of test images).

    Args:
        path: a CSV; for a competition of label files a folder or zip archive.
        sizes: id -> ``(H, W)`` of the masks; None: `Competition.mask_size`, from the images' headers.

    Raises:
        SubmissionError: lists columns that differ, ids that are missing, unknown, duplicated or in another
            order, masks that the dialect or the image's size does not allow; the first few of every kind.
    """
    problems = submission_problems(path, competition, sizes=sizes)
    if problems:
        raise SubmissionError(describe_problems(path, problems))


def describe_problems(path: Path, problems: Sequence[str]) -> str:
    """One message of many problems, a line each."""
    return f"{path} is not a valid submission:" + "".join(f"\n  - {problem}" for problem in problems)


def submission_problems(path: Path, competition: Competition, *, sizes: Mapping[str, Size] | None = None) -> list[str]:
    """What `validate_submission` would list; empty for a valid submission."""
    samples = competition.samples("test").by_id

    def size_of(image_id: str) -> Size:
        return competition.mask_size(samples[image_id]) if sizes is None else sizes[image_id]

    check = {"csv": _csv_problems, "files": _file_problems}[competition.submission_kind]
    try:
        return list(check(Path(path), competition, size_of))
    except (CompetitionError, OSError) as error:
        return [str(error)]


def _csv_problems(path: Path, competition: Competition, size_of: SizeOf) -> Iterator[str]:
    layout = competition.layout
    form = layout.profile.form("test")
    expected = layout.sample_keys()
    rows = _Rows(competition, size_of, set(expected))
    for piece in read_pieces(form, path):
        rows.look(piece)
    found = rows.keys
    if form.rows == "instance":  # any number of rows for an id, but none of them twice
        duplicates = [f"{key_name(key)} with {begin}" for key, begin, _ in repeated(rows.masks)]
        found, expected = list(dict.fromkeys(found)), list(dict.fromkeys(expected))
    else:
        duplicates = [key_name(key) for key in repeated(found)]
    yield from _name_problems("ids", [key_name(key) for key in found], [key_name(key) for key in expected], duplicates)
    yield from _counted("masks that cannot be read", rows.unreadable)
    yield from _counted("empty masks that the competition does not take", rows.empty)
    if competition.labels.exclusive or not layout.profile.submission.overlap:
        both = rows.overlapping(read_pieces(form, path))
        yield from _counted("images with a pixel in two masks, which must not overlap", both)


class _Rows:
    """What is wrong with the masks of a table, each by itself and together; no mask is kept.

    Attributes:
        keys: of all rows, in their order.
        masks: of tables of instances key, first characters and digest of every row.
        unreadable, empty: a problem for each row that has it.
    """

    def __init__(self, competition: Competition, size_of: SizeOf, known: Set[Key]) -> None:
        """``known`` are the keys of the sample submission: only their masks have a size."""
        self.competition, self.layout, self.size_of, self.known = competition, competition.layout, size_of, known
        self.keys: list[Key] = []
        self.masks: list[tuple[Key, str, bytes]] = []
        self.unreadable: list[str] = []
        self.empty: list[str] = []
        self._unused: set[int] = set()  # rows, by number
        self._counts: Counter[str] = Counter()

    def look(self, table: pd.DataFrame) -> None:
        """Look at the next rows of the table."""
        for key, rle in zip(keys(table), table["mask"], strict=True):
            if self.layout.instances:
                self.masks.append((key, rle[:20], blake2b(rle.encode(), digest_size=16).digest()))
            if key in self.known and self._usable(key, rle):
                self._counts[key[0]] += 1
            else:
                self._unused.add(len(self.keys))
            self.keys.append(key)

    def _usable(self, key: Key, rle: str) -> bool:
        size = self.size_of(key[0])
        if problem := _mask_problem(self.competition, (rle,), size, key_name(key)):
            self.unreadable.append(problem)
        elif problem := _empty_problem(self.layout, rle, size, key):
            self.empty.append(problem)
        else:
            return True
        return False

    def overlapping(self, tables: Iterable[pd.DataFrame]) -> Iterator[str]:
        """The images of which usable masks overlap; ``tables`` are those that were looked at, once more."""
        if max(self._counts.values(), default=0) < 2:
            return
        waiting, number = defaultdict(list), -1
        for table in tables:
            for (image_id, _), rle in zip(keys(table), table["mask"], strict=True):
                number += 1
                if number in self._unused:
                    continue
                waiting[image_id].append(rle)
                whole = len(waiting[image_id]) == self._counts[image_id]
                if whole and self.layout.overlaps(waiting.pop(image_id), self.size_of(image_id)):
                    yield image_id


def _empty_problem(layout: CsvLayout, rle: str, size: Size, key: Key) -> str | None:
    """What is wrong with an empty mask that is written in a way which the competition does not take."""
    marker = layout.dialect.empty
    if marker and not rle.strip():
        return f"{key_name(key)} is an empty field, expected {marker}"
    if not layout.profile.submission.empty and not layout.dialect.area(rle, size):
        return f"{key_name(key)} (submission.empty)"
    return None


def _file_problems(path: Path, competition: Competition, size_of: SizeOf) -> Iterator[str]:
    ids = {name: image_id for image_id, name in competition.layout.file_names().items()}
    found, unreadable = [], []
    for name, content in read_mask_files(path):
        found.append(name)
        if name in ids:
            unreadable.append(_mask_problem(competition, content, size_of(ids[name]), name))
    yield from _name_problems("files", sorted(set(found)), sorted(ids), repeated(found))
    yield from _counted("masks that cannot be used", filter(None, unreadable))


def _mask_problem(competition: Competition, masks: tuple[str] | bytes, size: Size, name: str) -> str | None:
    try:
        if competition.submission_kind == "csv":
            competition.coverage(masks, size, id=name)  # checks the runs without drawing them
        elif not competition.label(masks, size, id=name).valid.all():
            mapped = competition.layout.reader.label_map is not None
            return f"{name}: the mask holds 255, which is not a class{' (or what label_map maps to it)' * mapped}"
    except CompetitionError as error:
        return str(error)
    return None


def _name_problems(
    what: str, found: Sequence[str], expected: Sequence[str], duplicates: Sequence[str]
) -> Iterator[str]:
    missing = set(expected) - set(found)
    unknown = set(found) - set(expected)
    yield from _counted(f"missing {what}", (name for name in expected if name in missing))
    yield from _counted(f"unknown {what}", (name for name in found if name in unknown))
    yield from _counted(f"duplicate {what}", duplicates)
    if not (missing or unknown or duplicates) and list(found) != list(expected):
        place = next(index for index, name in enumerate(expected) if found[index] != name)
        yield (
            f"{what} in another order than in the sample submission: {found[place]} stands where "
            f"{expected[place]} is expected (row {place + 1} without the header)"
        )


def _counted(what: str, names: Iterable[str]) -> Iterator[str]:
    names = list(names)
    if names:
        yield f"{len(names)} {what}: {first_few(names)}"
