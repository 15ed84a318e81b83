"""All that the checks found."""

from dataclasses import dataclass, field

from maskfold.datasets.checks.dialect import DialectGuess
from maskfold.datasets.checks.duplicates import Duplicates
from maskfold.datasets.checks.folds import Division
from maskfold.datasets.checks.images import Images
from maskfold.datasets.checks.masks import Masks
from maskfold.datasets.checks.notes import Notes
from maskfold.datasets.checks.shift import Shift
from maskfold.datasets.checks.suspicious import Suspicion


@dataclass
class DataReport(Notes):
    """Sentences (`Notes`), and the figures and tables behind them; None where a check could not be made."""

    images: Images | None = None
    masks: Masks | None = None
    suspicious: list[Suspicion] = field(default_factory=list)
    duplicates: Duplicates | None = None
    dialect: DialectGuess | None = None
    division: Division | None = None
    shift: Shift | None = None
