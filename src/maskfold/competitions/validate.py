"""Does a submission have exactly the form that the competition asks for? Every problem is found in one pass."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from maskfold.competitions.competition import Competition
from maskfold.competitions.csv_layout import CsvLayout
from maskfold.competitions.label_layouts import read_pngs
from maskfold.competitions.table import Key, key_name, keys, read_table
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

    check = {"csv": _csv_problems, "png": _png_problems}[competition.submission_kind]
    try:
        return list(check(Path(path), competition, size_of))
    except (CompetitionError, OSError) as error:
        return [str(error)]


def _csv_problems(path: Path, competition: Competition, size_of: SizeOf) -> Iterator[str]:
    layout = competition.layout
    form = layout.profile.form("test")
    table = read_table(form, path.read_bytes(), path.name, exact=True)
    found, expected = keys(table), layout.sample_keys()
    rows, known = list(zip(found, table["mask"], strict=True)), set(expected)
    if form.rows == "instance":  # any number of rows for an id, but none of them twice
        duplicates = [f"{key_name(key)} with {rle[:20]}" for key, rle in repeated(rows)]
        found, expected = list(dict.fromkeys(found)), list(dict.fromkeys(expected))
    else:
        duplicates = [key_name(key) for key in repeated(found)]
    yield from _name_problems("ids", [key_name(key) for key in found], [key_name(key) for key in expected], duplicates)
    yield from _rows_problems([(key, rle) for key, rle in rows if key in known], competition, size_of)


def _rows_problems(rows: Sequence[tuple[Key, str]], competition: Competition, size_of: SizeOf) -> Iterator[str]:
    """What is wrong with the masks, each by itself and together."""
    layout = competition.layout
    unreadable, empty, readable = [], [], defaultdict(list)
    for key, rle in rows:
        size = size_of(key[0])
        if problem := _mask_problem(competition, (rle,), size, key_name(key)):
            unreadable.append(problem)
        elif problem := _empty_problem(layout, rle, size, key):
            empty.append(problem)
        else:
            readable[key[0]].append(rle)
    yield from _counted("masks that cannot be read", unreadable)
    yield from _counted("empty masks that the competition does not take", empty)
    if competition.labels.exclusive or not layout.profile.submission.overlap:
        both = (name for name, masks in readable.items() if layout.overlaps(masks, size_of(name)))
        yield from _counted("images with a pixel in two masks, which must not overlap", both)


def _empty_problem(layout: CsvLayout, rle: str, size: Size, key: Key) -> str | None:
    """What is wrong with an empty mask that is written in a way which the competition does not take."""
    marker = layout.dialect.empty
    if marker and not rle.strip():
        return f"{key_name(key)} is an empty field, expected {marker}"
    if not layout.profile.submission.empty and not layout.dialect.area(rle, size):
        return f"{key_name(key)} (submission.empty)"
    return None


def _png_problems(path: Path, competition: Competition, size_of: SizeOf) -> Iterator[str]:
    ids = {name: image_id for image_id, name in competition.layout.file_names().items()}
    found, unreadable = [], []
    for name, content in read_pngs(path):
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
