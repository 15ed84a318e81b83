"""A draft for competitions of lists: a line for each image, with the path of its label."""

from collections.abc import Sequence
from typing import get_args

from maskfold.checks.draft.csv_draft import add_images
from maskfold.checks.draft.draft import Draft
from maskfold.checks.draft.id_lists import FileLists, Split
from maskfold.checks.draft.label_draft import add_label_values
from maskfold.checks.draft.label_values import read_labels
from maskfold.checks.draft.pictures import look_at_images
from maskfold.checks.draft.tables import Table
from maskfold.competitions.files import CompetitionFiles


def draft_lists(files: CompetitionFiles, found: FileLists, tables: Sequence[Table]) -> Draft:
    """The profile of lists of images and labels."""
    draft = Draft()
    draft.add("layout", "file-list", "lists name each image with its label")
    draft.leave_metric_open()
    ordered: tuple[Split, ...] = get_args(Split)
    for split in ordered:
        if (path := found.paths.get(split)) is not None:
            draft.add(split, path, "named so" if split[:3] in path else "the one list with labels")
    if found.separator is not None:
        draft.add("separator", found.separator, f"stands between image and label in {found.paths['train']}")
    add_label_values(draft, read_labels(files, [label for _, label in found.pairs if label]), tables)
    add_images(draft, look_at_images(files, [image for image, _ in found.pairs]))
    if "test" not in found.paths:
        draft.doubts.append("no list of test images was found: there is nothing to submit")
    return draft
