"""All that the checks found."""

from dataclasses import dataclass, field

from maskfold.checks.dialect import DialectGuess
from maskfold.checks.duplicates import Duplicates
from maskfold.checks.folds import TriedFolds
from maskfold.checks.images import Images
from maskfold.checks.masks import Masks
from maskfold.checks.notes import Notes
from maskfold.checks.shift import Shift
from maskfold.checks.suspicious import Suspicion


@dataclass
class DataReport(Notes):
    """Sentences (`Notes`), and the figures and tables behind them; None where a check could not be made."""

    images: Images | None = None
    masks: Masks | None = None
    suspicious: list[Suspicion] = field(default_factory=list)
    duplicates: Duplicates | None = None
    dialect: DialectGuess | None = None
    folds: TriedFolds | None = None
    shift: Shift | None = None
