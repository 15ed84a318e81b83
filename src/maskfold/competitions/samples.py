"""The samples of one split, as every layout hands them on, and the checks they have passed."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass, fields, replace
from functools import cached_property
from operator import index
from pathlib import PurePosixPath
from typing import Any, Literal, overload

import pandas as pd

from maskfold.competitions.files import CompetitionFiles
from maskfold.competitions.packed import pack
from maskfold.competitions.patterns import Pattern
from maskfold.competitions.table import duplicates, read_cells
from maskfold.config import GroupConfig
from maskfold.errors import LISTED, CompetitionError, first_few, raise_all

Split = Literal["train", "test"]
OwnSplit = Literal["train", "valid", "test"]
"""Where a competition itself puts an image, before maskfold makes folds."""


ImagePath = str | tuple[str, ...]
"""Where an image is inside the competition's folder: a file, or several whose channels follow each other."""


def paths_of(image: ImagePath) -> tuple[str, ...]:
    """The files of an image."""
    return (image,) if isinstance(image, str) else image


@dataclass(frozen=True, slots=True)
class Sample:
    """One image of a competition.

    Attributes:
        id: as in the competition's table.
        image: path inside the competition's folder, or the paths of several files (`ImagePath`).
        masks: what `Competition.label` takes; None in the test split.
        group: which images belong together, as the profile or the metric's units say.
        split: "train" or "valid", where the competition itself splits its training images.
    """

    id: str
    image: ImagePath
    masks: Any = None
    group: str | None = None
    split: Literal["train", "valid"] | None = None


class Samples(Sequence[Sample]):
    """An immutable sequence of samples whose ids are distinct; a slice of it is one, too.

    It holds columns of packed texts, which data workers share, see `maskfold.competitions.packed`; a `Sample` is made
    when it is asked for.
    """

    def __init__(self, samples: Iterable[Sample] = ()) -> None:
        samples = list(samples)
        self._columns = [pack([getattr(sample, field.name) for sample in samples]) for field in fields(Sample)]

    def __getstate__(self) -> dict[str, Any]:
        return {"_columns": self._columns}  # without what can be looked up in them

    def __len__(self) -> int:
        return len(self._columns[0])

    def __iter__(self) -> Iterator[Sample]:
        return map(Sample, *self._columns)

    @overload
    def __getitem__(self, key: int) -> Sample: ...

    @overload
    def __getitem__(self, key: slice) -> "Samples": ...

    def __getitem__(self, key: int | slice) -> "Sample | Samples":
        if isinstance(key, slice):
            return Samples(self[place] for place in range(*key.indices(len(self))))
        return Sample(*(column[index(key)] for column in self._columns))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Samples) and self._columns == other._columns

    __hash__ = None  # pyright: ignore[reportAssignmentType]

    def __repr__(self) -> str:
        return f"Samples({len(self)}: {first_few(self.ids)})"

    def unmasked(self) -> "Samples":
        """The same without masks, for those who only predict."""
        return Samples(replace(sample, masks=None) for sample in self)

    @cached_property
    def ids(self) -> tuple[str, ...]:
        """The ids, in order."""
        return tuple(self._columns[0])

    @cached_property
    def by_id(self) -> Mapping[str, Sample]:
        """Id -> sample."""
        return _ById(self)

    def select(self, ids: Iterable[str]) -> "Samples":
        """The samples of these ids, in their order.

        Raises:
            CompetitionError: ids that are not among the samples.
        """
        ids = list(ids)
        unknown = [image_id for image_id in ids if image_id not in self.by_id]
        if unknown:
            raise CompetitionError(f"{len(unknown)} ids are not among the {len(self)} images: {first_few(unknown)}")
        return Samples(self.by_id[image_id] for image_id in ids)

    def frame(self) -> pd.DataFrame:
        """The same as a table for people: a row for each sample, a column for each attribute of `Sample`."""
        columns = [field.name for field in fields(Sample)]
        return pd.DataFrame([astuple(sample) for sample in self], columns=columns, dtype=object)


class _ById(Mapping[str, Sample]):
    """Samples by their ids; only places are held."""

    def __init__(self, samples: Samples) -> None:
        self._samples = samples
        self._places = {image_id: place for place, image_id in enumerate(samples.ids)}

    def __getitem__(self, key: str) -> Sample:
        return self._samples[self._places[key]]

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)

    def __contains__(self, key: object) -> bool:
        return key in self._places


@dataclass(frozen=True)
class Survey:
    """One split of a competition.

    Attributes:
        samples: those that can be used, sorted by id.
        problems: everything that is wrong with the others.
        notes: what a user should know of them, such as how many count as empty.
        warnings: what may not be as it is meant, though the samples can be used.
    """

    samples: Samples
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    def checked(self) -> Samples:
        """The samples.

        Raises:
            CompetitionError: there are problems; all of them in one message.
        """
        raise_all(self.problems)
        return self.samples


def survey_samples(
    found: Sequence[Sample],
    files: CompetitionFiles,
    *,
    source: str,
    group: GroupConfig | str | None = None,
    problems: Sequence[str] = (),
) -> Survey:
    """The samples that can be used.

    Added to ``problems``: duplicate ids (the first stays), images that are not there (left out), what is wrong with
    the groups (the samples stay).
    """
    problems = [*problems, *duplicates((sample.id for sample in found), source)]
    unique = {sample.id: sample for sample in reversed(found)}
    named = dict.fromkeys(path for sample in found for path in paths_of(sample.image))
    missing = [path for path in named if not files.exists(path)]
    if missing:
        hinted = [f"{path}{_other_case(files, path)}" for path in missing[:LISTED]]  # each reads its folder
        listed = first_few([*hinted, *missing[LISTED:]], LISTED)
        problems.append(f"{source} names {len(missing)} images that are not in {files.root}: {listed}")
    absent = set(missing)
    usable = (unique[image_id] for image_id in sorted(unique))
    samples = Samples(sample for sample in usable if absent.isdisjoint(paths_of(sample.image)))
    if group is not None:
        try:
            groups = read_groups(files, group, samples)
            samples = Samples(replace(sample, group=own) for sample, own in zip(samples, groups, strict=True))
        except CompetitionError as error:
            problems.append(str(error))
    return Survey(samples, tuple(problems))


def _other_case(files: CompetitionFiles, path: str) -> str:
    """A hint where the file is there but for capital letters, as in ``a.JPG``."""
    folder, _, name = path.rpartition("/")
    there = next((found for found in files.names(folder or ".") if found.lower() == name.lower()), None)
    return "" if there is None else f" (but {there} is there: capital letters count)"


def read_groups(files: CompetitionFiles, group: GroupConfig | str, samples: Samples) -> list[str | None]:
    """The group of every sample: from a CSV, its rows named by id, file name or stem; or what {group} is in its path.

    Test images need none: `None` stands for those that have no row, or a path of another form, and for all of them
    where the CSV is not there.

    Raises:
        CompetitionError: missing file or columns, a name with two groups, training images without a group.
    """
    if isinstance(group, str):
        return _groups_of_paths(Pattern(group), samples)
    if not files.exists(group.file) and all(sample.masks is None for sample in samples):
        return [None] * len(samples)
    names = read_pairs(files, group.file, group.id, group.column)
    problems = duplicates((name for name, _ in names), group.file)
    groups = dict(names)
    found = []
    for sample in samples:
        found.append(next((groups[key] for key in names_of(sample) if key in groups), None))
    without = [
        sample.id for sample, value in zip(samples, found, strict=True) if value is None and sample.masks is not None
    ]
    if without:
        problems.append(
            f"{group.file} has no row for {len(without)} images: {first_few(without)} "
            f"(looked for in its column {group.id})"
        )
    raise_all(problems)
    return found


def names_of(sample: Sample) -> tuple[str, ...]:
    """By what tables may name a sample: its id, the names of its files, their stems."""
    paths = map(PurePosixPath, paths_of(sample.image))
    return sample.id, *(key for path in paths for key in (path.name, path.stem))


def _groups_of_paths(pattern: Pattern, samples: Samples) -> list[str | None]:
    found = [(sample, pattern.match(paths_of(sample.image)[0])) for sample in samples]
    without = [sample.id for sample, values in found if values is None and sample.masks is not None]
    if without:
        raise CompetitionError(
            f"{len(without)} images have no group, since their paths are not of the form {pattern.text} (group in the "
            f"profile): {first_few(without)}"
        )
    return [None if values is None else values["group"] for _, values in found]


def read_pairs(files: CompetitionFiles, name: str, first: str, second: str) -> list[tuple[str, str]]:
    """`read_rows` of two columns."""
    return [(one, other) for one, other in read_rows(files, name, first, second)]


def read_rows(files: CompetitionFiles, name: str, *columns: str) -> list[tuple[str, ...]]:
    """Rows of the named columns, as text without blanks around it, of a comma-separated CSV with a header.

    Raises:
        CompetitionError: missing file or columns.
    """
    table = read_cells(files.text(name), name)
    table = table.set_axis([str(column).strip() for column in table.columns], axis=1)
    absent = [column for column in columns if column not in table]
    if absent:
        raise CompetitionError(f"{name} has the columns {', '.join(table.columns)}, expected also {', '.join(absent)}")
    stripped = table[list(columns)].fillna("").apply(lambda column: column.str.strip())
    return list(stripped.itertuples(index=False, name=None))
