"""Everything that is wrong with a contest's files, and what is worth a look, found in one pass."""

from typing import Literal

import pandas as pd

from maskfold.competitions import Competition
from maskfold.config import FoldsConfig
from maskfold.datasets.checks.dialect import check_dialect
from maskfold.datasets.checks.duplicates import TURNS, check_duplicates
from maskfold.datasets.checks.folds import check_folds
from maskfold.datasets.checks.images import CHANNELS, Images, check_images, pixel_statistics
from maskfold.datasets.checks.masks import Masks, check_masks, class_names
from maskfold.datasets.checks.notes import Notes
from maskfold.datasets.checks.readings import Reading
from maskfold.datasets.checks.report import DataReport
from maskfold.datasets.checks.shift import check_shift
from maskfold.datasets.checks.suspicious import check_suspicious

__all__ = [
    "CHANNELS",
    "TURNS",
    "DataReport",
    "Images",
    "Masks",
    "Reading",
    "check_data",
    "class_names",
    "pixel_statistics",
]


def check_data(competition: Competition, folds_config: FoldsConfig) -> DataReport:
    """Read every image and every mask of the contest once, and try the division into folds.

    What cannot be used is a problem and is left out of what follows, so that one fault does not hide another.
    """
    report = DataReport()
    tables = {part: _samples(competition, part, report) for part in ("train", "test")}
    train = tables["train"]
    images = report.images = check_images(competition, tables, report)
    masks = report.masks = check_masks(competition, train, images, report)
    report.dialect = check_dialect(competition, train, images, report)
    copies = report.duplicates = check_duplicates(images, report)
    report.suspicious = check_suspicious(competition, train, images, masks, copies, report)
    report.division = check_folds(competition, train, images, masks, copies, folds_config, report)
    report.shift = check_shift(images, report)
    return report


def _samples(competition: Competition, part: Literal["train", "test"], notes: Notes) -> pd.DataFrame:
    """What can be used of a part."""
    found = competition.survey(part)
    notes.problems += [f"the {part} part: {problem}" for problem in found.problems]
    notes.facts[f"{part} images"] = str(len(found.samples))
    if found.samples.empty and not found.problems:
        (notes.problems if part == "train" else notes.warnings).append(f"there are no {part} images")
    return found.samples
