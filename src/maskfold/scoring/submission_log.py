"""``submissions/log.csv``: where every submission came from, and what the leaderboard said."""

from datetime import datetime
from pathlib import Path

import pandas as pd

from maskfold.errors import InferenceError
from maskfold.files import atomic_path
from maskfold.program import command_line

COLUMNS = ["time", "file", "sha256", "runs", "folds", "ensemble_sha256", "oof_score", "leaderboard"]


def note_submission(log: Path, **row: object) -> None:
    """Append one submission, unless this very row is there already; without a ``time`` it is now."""
    table = read_log(log)
    row = {"time": datetime.now().isoformat(timespec="seconds"), **row}
    values = ["" if row.get(column) is None else str(row[column]) for column in COLUMNS]
    facts = len(COLUMNS) - 1  # the leaderboard's score comes later
    if (table[COLUMNS[:facts]] == values[:facts]).all(axis=1).any():
        return
    table.loc[len(table), COLUMNS] = values
    _write(table, log)


def same_submission(log: Path, sha256: str) -> str | None:
    """Name and time of the latest submission whose file was the same, byte for byte; `None`: there is none."""
    table = read_log(log)
    same = table[table["sha256"] == sha256]
    return None if same.empty else f"{same['file'].iloc[-1]} of {same['time'].iloc[-1]}"


def note_leaderboard(log: Path, score: float, submission: Path | None = None) -> str:
    """Add the leaderboard's score to a submission (default: the latest) and return its file name.

    Raises:
        InferenceError: no such submission is in the log.
    """
    table = read_log(log)
    same = [submission is None or Path(file).resolve() == Path(submission).resolve() for file in table["file"]]
    rows = table.index[same]
    if rows.empty:
        wanted = f"no {submission}" if submission else "no submission"
        held = ", ".join(dict.fromkeys(table["file"].tail(5))) or "nothing"
        raise InferenceError(
            f"{log} has {wanted}, the latest are {held}: {command_line('predict')} writes submissions and notes them "
            "there"
        )
    table.loc[rows[-1], "leaderboard"] = str(score)
    _write(table, log)
    return table.loc[rows[-1], "file"]


def noted_digest(log: Path, file: str) -> str:
    """SHA-256 of the latest submission of that name, as it was written; empty where it was a folder."""
    table = read_log(log)
    return table.loc[table["file"] == file, "sha256"].iloc[-1]


def read_log(log: Path) -> pd.DataFrame:
    """The log as text columns; empty where there is none yet.

    Raises:
        InferenceError: it is damaged.
    """
    if not log.exists():
        return pd.DataFrame(columns=COLUMNS, dtype=object)
    try:
        table = pd.read_csv(log, dtype=str, keep_default_na=False).astype(object)
    except (ValueError, OSError) as error:  # pandas' own errors are ValueErrors
        raise _damaged(log, " ".join(str(error).split())) from None
    if missing := [column for column in COLUMNS if column not in table]:
        raise _damaged(log, f"it has no column {missing[0]}")
    return table


def _damaged(log: Path, reason: str) -> InferenceError:
    return InferenceError(f"{log} is damaged ({reason}): restore it, or move it away and a new one is begun")


def _write(table: pd.DataFrame, log: Path) -> None:
    with atomic_path(log) as temporary:
        table.to_csv(temporary, index=False)
