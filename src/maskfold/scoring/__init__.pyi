# The package's names, for type checkers and for lazy_loader, which imports them at their first use.
from .evaluate import evaluate_oof as evaluate_oof
from .evaluate import evaluate_submission as evaluate_submission
from .evaluate import verdict as verdict
from .submission_log import note_leaderboard as note_leaderboard
from .submission_log import note_submission as note_submission
from .submission_log import read_log as read_log
