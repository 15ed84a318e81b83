"""Images that are too large to be read whole: opened, looked into, their run lengths checked, nothing drawn."""

from collections import Counter
from collections.abc import Mapping

from maskfold.checks.notes import LISTED_HERE, Notes, counts, in_threads
from maskfold.competitions import Competition, ImagePath, Sample, Samples
from maskfold.errors import CompetitionError, MaskfoldError, first_few
from maskfold.program import command_line
from maskfold.rasters import Raster

CORNER = 64  # pixels


def without_large(competition: Competition, samples: Mapping[str, Samples], notes: Notes) -> dict[str, Samples]:
    """The images that can be read whole; the others are checked here.

    Problems: large images that cannot be read by windows, or whose masks do not fit them. Warnings: training images
    that have to be cut. Facts: their number and sizes.
    """
    large = {
        split: [sample for sample in own if too_large(competition, sample.image)] for split, own in samples.items()
    }
    for split, own in large.items():
        if not own:
            continue
        sizes = Counter("x".join(map(str, competition.size(sample.image))) for sample in own)
        notes.facts[f"large {split} images"] = f"{len(own)}, read by windows (H x W): {counts(sizes)}"
        found = in_threads(lambda sample: _problem(competition, sample), own, "rasters")
        if problems := [problem for problem in found if problem is not None]:
            notes.problems.append(f"{len(problems)} large images cannot be used: {first_few(problems, LISTED_HERE)}")
    if large["train"]:
        notes.warnings.append(
            f"{len(large['train'])} training images are too large to be read whole: cut them into tiles with "
            f"{command_line('tile', 'cut')}, which writes a profile of the tiles"
        )
    left_out = {sample.id for own in large.values() for sample in own}
    return {split: Samples(sample for sample in own if sample.id not in left_out) for split, own in samples.items()}


def too_large(competition: Competition, image: ImagePath) -> bool:
    """Whether an image cannot be read whole for its size."""
    try:
        return competition.is_large(image)
    except CompetitionError:
        return False  # what is wrong with it is found where it is read


def _problem(competition: Competition, sample: Sample) -> str | None:
    """What is wrong with a large image."""
    try:
        raster = Raster.of_sample(competition, sample)
        height, width = raster.size
        raster.read((slice(max(0, height - CORNER), height), slice(max(0, width - CORNER), width)))
        if sample.masks is not None:
            competition.coverage(sample.masks, raster.size, id=sample.id)
    except MaskfoldError as error:
        return str(error)
    return None
