"""Tables that may tell which images belong together, and archives: what a person should know beside the profile."""

import re
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath

from maskfold.checks.draft.tables import NUMBER, RUNS, Table
from maskfold.competitions.files import CompetitionFiles

GROUP_WORD = re.compile(
    r"group|scene|patient|case|city|cluster|site|region|area|volume|stud(y|ies)|series|organ|place|location|subject|video",
    re.IGNORECASE,
)
OTHER_ARCHIVES = frozenset({".7z", ".rar", ".tar", ".tgz", ".gz", ".bz2", ".xz"})
# Of the images looked for in a column, those that must be there.
NAMED = 0.9


def group_candidates(tables: Sequence[Table], images: Sequence[str]) -> Iterator[str]:
    """A remark for each column that gives every image one of few values.

    Args:
        tables: all but those of masks.
        images: ids or paths of the training images.
    """
    wanted = {key: image for image in images for key in (image, PurePosixPath(image).name, PurePosixPath(image).stem)}
    for table in tables:
        if table.header is None or table.separator != ",":
            continue
        columns = {column: table.values(column) for column in table.columns}
        for column, names in columns.items():
            named = [wanted[name] for name in names if name in wanted]
            if images and len(set(named)) >= NAMED * len(set(images)) and len(set(names)) == len(names):
                yield from (
                    f"{table.path}, column {table.name(other)}: {len(set(values))} values for {len(named)} images. "
                    "Where images of one value belong together, folds should not part them: add group: "
                    f"{{file: {table.path}, id: {table.name(column)}, column: {table.name(other)}}}"
                    for other, values in columns.items()
                    if other != column and _groups(table.name(other), values)
                )


def folder_groups(patterns: Sequence[str]) -> Iterator[str]:
    """A remark where training images lie in folders beside each other, of which each may be a patient or a place.

    Args:
        patterns: of the training images, with * for such folders.
    """
    parts = [pattern.split("/") for pattern in patterns]
    if len({len(levels) for levels in parts}) > 1:
        return
    levels = [set(level) for level in zip(*parts, strict=True)]
    place = next((place for place, level in enumerate(levels[:-1]) if "*" in level), None)
    if place is not None:
        common = [next(iter(level)).replace("{id}", "*") if len(level) == 1 else "*" for level in levels]
        group = "/".join([*common[:place], "{group}", *common[place + 1 :]])
        yield (
            "images lie in several folders beside each other: where those of one belong together (a patient, a place), "
            f'folds should not part them: add group: "{group}"'
        )


def archives(files: CompetitionFiles) -> Iterator[str]:
    """A remark for each archive at the top."""
    for path in sorted(files.root.iterdir()):
        if path.suffix == ".zip":
            folder = path.name.removesuffix(".zip")
            count = sum(name == folder or name.startswith(f"{folder}/") for name in files.below(""))
            yield f"{path.name}: {count} files, read in place as {folder}{'/…' if count != 1 else ''}"
        elif path.suffix in OTHER_ARCHIVES:
            yield f"{path.name} is not read: only zip archives are, unpack it"


def _groups(name: str, values: Sequence[str]) -> bool:
    distinct = len(set(values))
    if GROUP_WORD.search(name):
        return 1 < distinct <= len(values) // 2
    words = not any(RUNS.fullmatch(value) or NUMBER.fullmatch(value) for value in values[:100])
    return words and 1 < distinct <= 2 * len(values) ** 0.5
