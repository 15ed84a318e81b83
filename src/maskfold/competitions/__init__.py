"""What a competition's files look like, in and out."""

from maskfold.competitions.competition import Competition
from maskfold.competitions.find import find_competitions, open_competition
from maskfold.competitions.profile import load_profile
from maskfold.competitions.samples import Sample, Samples
from maskfold.competitions.submission import SubmissionWriter
from maskfold.competitions.validate import validate_submission

__all__ = [
    "Competition",
    "Sample",
    "Samples",
    "SubmissionWriter",
    "find_competitions",
    "load_profile",
    "open_competition",
    "validate_submission",
]
