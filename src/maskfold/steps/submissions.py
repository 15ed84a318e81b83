"""What is written below ``submissions/``: under which name, and the line about it in the log."""

from itertools import chain, count
from pathlib import Path

from maskfold.competitions import Competition
from maskfold.errors import SubmissionError
from maskfold.runs.checkpoint import file_digest
from maskfold.scoring.submission_log import note_submission, same_submission
from maskfold.steps.places import LOG, SUBMISSIONS


def submission_path(name: str, competition: Competition, out: Path | None, *, overwrite: bool) -> Path:
    """Where a submission goes: ``out``, else ``submissions/NAME.csv`` (label files: ``.zip``), numbered if that exists.

    Raises:
        SubmissionError: ``out`` exists and is not to be overwritten.
    """
    if out is not None:
        if out.exists() and not overwrite:
            raise SubmissionError(f"{out} exists: choose another --out, or give --overwrite")
        return out
    suffix = ".csv" if competition.submission_kind == "csv" else ".zip"
    numbered = (SUBMISSIONS / f"{name}-{number}{suffix}" for number in count(2))
    return next(path for path in chain([SUBMISSIONS / f"{name}{suffix}"], numbered) if not path.exists())


def log_file(path: Path, **row: object) -> None:
    """Note a submission and what made it in ``submissions/log.csv``; print if it repeats another file."""
    sha256 = file_digest(path) if path.is_file() else None
    if sha256 and (earlier := same_submission(LOG, sha256)):
        print(f"Note: {path} is the same file, byte for byte, as {earlier}: it would score the same.")
    note_submission(LOG, file=path, sha256=sha256, **row)
