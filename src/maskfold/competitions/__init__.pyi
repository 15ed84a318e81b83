# The package's names, for type checkers and for lazy_loader, which imports them at their first use.
from .competition import Competition as Competition
from .find import find_competitions as find_competitions
from .find import open_competition as open_competition
from .profile import load_profile as load_profile
from .samples import ImagePath as ImagePath
from .samples import Sample as Sample
from .samples import Samples as Samples
from .submission import SubmissionWriter as SubmissionWriter
from .validate import validate_submission as validate_submission
