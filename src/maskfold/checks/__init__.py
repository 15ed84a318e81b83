"""Everything that is wrong with a competition's files, and what is worth a look."""

from maskfold.checks.images import Images, pixel_statistics
from maskfold.checks.masks import Masks
from maskfold.checks.readings import Reading
from maskfold.checks.report import DataReport, check_data

__all__ = [
    "DataReport",
    "Images",
    "Masks",
    "Reading",
    "check_data",
    "pixel_statistics",
]
