"""What is written below ``submissions/``: under which name, by one process, and the line about it in the log."""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from itertools import chain, count
from pathlib import Path
from typing import Any

from maskfold.competitions import Competition
from maskfold.competitions.submission import refuse_other_content
from maskfold.errors import BusyError, SubmissionError
from maskfold.files import file_digest, sweep, write_file
from maskfold.locks import exclusive
from maskfold.runs.documents import to_json
from maskfold.scoring.submission_log import note_leaderboard, note_submission, noted_digest, read_log, same_submission
from maskfold.steps.places import LOG, SUBMISSIONS


@dataclass(frozen=True)
class Reserved:
    """A submission that this process alone writes.

    Attributes:
        path: its file or folder.
        complete: whether the same command had written it before it was killed: only its line in the log is missing.
    """

    path: Path
    complete: bool


@contextmanager
def reserved(
    name: str,
    competition: Competition,
    out: Path | None,
    *,
    overwrite: bool,
    made_of: Mapping[str, Any],
    row: Callable[[], Mapping[str, object]],
) -> Iterator[Reserved]:
    """Find out where a submission goes, keep others off the place, and note it in ``submissions/log.csv`` at the end.

    It goes to ``out``, else to ``submissions/NAME.csv`` (label files: ``.zip``), numbered if that exists or another
    process is writing it. What a killed command left there is cleared, and the log's line that it owes is written.

    Args:
        name: see above.
        competition: decides the suffix.
        out: see above.
        overwrite: ``out`` may exist.
        made_of: plain values, equal for commands that write the same.
        row: gives columns of the log; asked once the place is held.

    Raises:
        SubmissionError: ``out`` exists and is not to be overwritten, or is a folder where a file goes.
        StorageError: the place cannot be written to.
        BusyError: another process is writing ``out``.
        InferenceError: the log is damaged.
    """
    with _log_lock():
        read_log(LOG)  # refused now rather than when the work is done
    made = hashlib.sha256(json.dumps(made_of, sort_keys=True, default=str).encode()).hexdigest()
    with ExitStack() as held:
        path, owed = _take(held, _places(name, competition, out), given=out is not None, overwrite=overwrite, made=made)
        if owed is None:
            owed = {"time": datetime.now().isoformat(timespec="seconds"), **row()}
            before = _digest(path)
            _begin(path, {"made_of": made, "before": before, "row": owed})
            try:
                yield Reserved(path, complete=False)
            finally:
                if _digest(path) == before:
                    _begun_path(path).unlink(missing_ok=True)
        else:
            yield Reserved(path, complete=True)
        log_file(path, **owed)
        _begun_path(path).unlink(missing_ok=True)


def log_file(path: Path, **row: object) -> None:
    """Note a submission and what made it in ``submissions/log.csv``; print if it repeats another file."""
    sha256 = file_digest(path) if path.is_file() else None
    with _log_lock():
        if sha256 and (earlier := same_submission(LOG, sha256)):
            print(f"Note: {path} is the same file, byte for byte, as {earlier}: it would score the same.")
        note_submission(LOG, file=path, sha256=sha256, **row)


def note_score(score: float, submission: Path | None) -> str:
    """Note the leaderboard's score of a submission (None: the latest) in ``submissions/log.csv``; returns its file.

    Raises:
        InferenceError: no such submission is in the log.
    """
    with _log_lock():
        file = note_leaderboard(LOG, score, submission)
        noted = noted_digest(LOG, file)
    if noted and Path(file).is_file() and file_digest(Path(file)) != noted:
        print(f"Note: {file} was changed after it was written: the log's other columns are about what it was.")
    return file


def _places(name: str, competition: Competition, out: Path | None) -> Iterator[Path]:
    suffix = competition.submission_suffix
    if out is None:
        yield from chain([SUBMISSIONS / f"{name}{suffix}"], (SUBMISSIONS / f"{name}-{n}{suffix}" for n in count(2)))
    elif out.is_dir() and (suffix == ".csv" or out.suffix == ".zip"):
        raise SubmissionError(f"{out} is a folder, expected a file: choose another --out")
    else:
        yield out


def _take(
    held: ExitStack, places: Iterator[Path], *, given: bool, overwrite: bool, made: str
) -> tuple[Path, dict[str, Any] | None]:
    """The first place that is free, locked, and the line of the log that this very command owes for what is there."""
    for path in places:
        if path.exists() and not _begun_path(path).exists() and not given:
            continue
        with ExitStack() as stack:
            try:
                stack.enter_context(_lock(path))
            except BusyError:
                if given:
                    raise
                continue
            owed = _settle(path, made)
            if path.exists() and owed is None and not (given and overwrite):
                if given:
                    raise SubmissionError(f"{path} exists: choose another --out, or give --overwrite")
                continue
            if path.is_dir() and owed is None:
                refuse_other_content(path)
            sweep(path.parent, path.name)
            held.push(stack.pop_all())
            return path, owed
    raise AssertionError("there is always another number")


def _settle(path: Path, made: str) -> dict[str, Any] | None:
    """Look after what a killed command left: the line that it owes is returned if this is the same one, else noted."""
    try:
        begun = json.loads(_begun_path(path).read_bytes())
        written = _digest(path) not in (None, begun["before"])
        if written and begun["made_of"] == made:
            return dict(begun["row"])
        if written:
            log_file(path, **begun["row"])
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        pass  # there was none, or it is not whole: then nothing was written after it
    _begun_path(path).unlink(missing_ok=True)
    return None


def _begin(path: Path, facts: dict[str, Any]) -> None:
    write_file(_begun_path(path), to_json(facts))


def _begun_path(path: Path) -> Path:
    return path.with_name(f".{path.name}.begun")


def _lock(path: Path) -> AbstractContextManager[None]:
    return exclusive(path.with_name(f".{path.name}.lock"), path, advice="wait for it, or choose another --out")


def _log_lock() -> AbstractContextManager[None]:
    return exclusive(LOG.with_name(f".{LOG.name}.lock"), LOG, wait=True)


def _digest(path: Path) -> str | None:
    """Of a file, or of all files of a folder; None where there is nothing."""
    if path.is_dir():
        files = sorted(path.iterdir())
        return hashlib.sha256("".join(f"{file.name} {file_digest(file)} " for file in files).encode()).hexdigest()
    return file_digest(path) if path.exists() else None
