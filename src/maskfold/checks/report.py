"""Everything that is wrong with a competition's files, and what is worth a look, found in one pass."""

from dataclasses import dataclass
from typing import Literal

from maskfold.checks.annotators import Agreement, check_annotators, note_soft_loss
from maskfold.checks.changed import check_changed
from maskfold.checks.dialect import DialectGuess, check_dialect
from maskfold.checks.duplicates import Duplicates, check_duplicates
from maskfold.checks.folds import TriedFolds, check_folds
from maskfold.checks.images import Images, check_images
from maskfold.checks.large import without_large
from maskfold.checks.masks import Masks, check_masks
from maskfold.checks.notes import Notes
from maskfold.checks.shift import Shift, check_shift
from maskfold.checks.suspicious import Suspicion, check_suspicious
from maskfold.competitions import Competition, Samples
from maskfold.config import AnnotatorsConfig, FoldsConfig


@dataclass(kw_only=True)
class DataReport(Notes):
    """Sentences (`Notes`), and the figures and tables behind them; None where a check could not be made."""

    images: Images
    masks: Masks
    suspicious: list[Suspicion]
    duplicates: Duplicates
    dialect: DialectGuess | None
    folds: TriedFolds | None
    shift: Shift | None
    annotators: Agreement | None


def check_data(
    competition: Competition, folds_config: FoldsConfig, annotators: AnnotatorsConfig | None = None
) -> DataReport:
    """Read every image and every mask of the competition once, those of annotators too, and try the folds.

    What cannot be used is a problem and is left out of what follows, so that one fault does not hide another.
    """
    notes = Notes()
    samples = {split: _samples(competition, split, notes) for split in ("train", "test")}
    samples = without_large(competition, samples, notes)
    train = samples["train"]
    images = check_images(competition, samples, notes)
    check_changed(competition, images, notes)
    masks = check_masks(competition, train, images, notes)
    dialect = check_dialect(competition, train, images, notes)
    copies = check_duplicates(images, notes)
    suspicious = check_suspicious(competition, train, images, masks, copies, notes)
    folds = check_folds(competition, train, images, masks, copies, folds_config, notes)
    shift = check_shift(images, notes)
    agreement = check_annotators(competition, train, images, annotators, notes)
    note_soft_loss(competition, notes)
    return DataReport(
        problems=notes.problems,
        warnings=notes.warnings,
        facts=notes.facts,
        images=images,
        masks=masks,
        suspicious=suspicious,
        duplicates=copies,
        dialect=dialect,
        folds=folds,
        shift=shift,
        annotators=agreement,
    )


def _samples(competition: Competition, split: Literal["train", "test"], notes: Notes) -> Samples:
    """What can be used of a split."""
    found = competition.survey(split)
    # Some faults, of files that both splits share, are found in both.
    notes.problems += [
        f"the {split} split: {problem}"
        for problem in found.problems
        if f"the train split: {problem}" not in notes.problems
    ]
    notes.facts[f"{split} images"] = str(len(found.samples))
    if found.notes:
        notes.facts[f"of the {split} images"] = "; ".join(found.notes)
    notes.warnings += found.warnings
    if not found.samples and not found.problems:
        (notes.problems if split == "train" else notes.warnings).append(f"there are no {split} images")
    return found.samples
