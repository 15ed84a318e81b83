"""All that the checks found."""

from dataclasses import dataclass

from maskfold.checks.dialect import DialectGuess
from maskfold.checks.duplicates import Duplicates
from maskfold.checks.folds import TriedFolds
from maskfold.checks.images import Images
from maskfold.checks.masks import Masks
from maskfold.checks.notes import Notes
from maskfold.checks.shift import Shift
from maskfold.checks.suspicious import Suspicion


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
