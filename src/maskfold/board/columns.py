"""The board's columns, the same in the terminal and on the page, and the table that the terminal shows."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from maskfold.errors import first_few

if TYPE_CHECKING:  # the columns' names are known before anything is read
    from maskfold.board.board import Board
    from maskfold.board.entry import Entry

Value = float | str | None
UNKNOWN = "–"
MOST_KEYS = 3


@dataclass(frozen=True)
class Column:
    """A column: what ``--sort`` calls it, its heading, what it shows of an entry, and what it is sorted by.

    ``words`` are sorted by the alphabet and stand to the left; numbers and times the highest first.
    """

    name: str
    title: str
    text: Callable[["Entry"], str]
    value: Callable[["Entry"], Value]
    words: bool = False


def number(value: float | None, form: str = ".4f") -> str:
    """A number, or a dash where it is not known."""
    return UNKNOWN if value is None else f"{value:{form}}"


def interval(low: float | None, high: float | None, form: str = ".4f") -> str:
    """``low to high``, or a dash."""
    return UNKNOWN if low is None or high is None else f"{low:{form}} to {high:{form}}"


def size_text(count: int) -> str:
    """Bytes in the unit that people read."""
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= factor:
            return f"{count / factor:.3g} {unit}"
    return f"{count} B"


def folds_text(entry: "Entry") -> str:
    """``3/5``, what was only begun, and whether ``all`` is trained."""
    done = [name for name in entry.finished if name != "all"]
    open_ = [name for name in entry.begun if name not in entry.finished]
    planned = UNKNOWN if entry.planned is None else entry.planned
    return (
        f"{len(done)}/{planned}"
        + ("+all" if "all" in entry.finished else "")
        + (f" ({len(open_)} begun)" if open_ else "")
    )


def changes_text(entry: "Entry", most: int | None = MOST_KEYS) -> str:
    """The keys that differ from the parent, and the parent."""
    if entry.problem and entry.config is None:
        return "config cannot be read"
    if entry.parent is None:
        return UNKNOWN
    keys = entry.parent.keys
    shown = first_few(keys, len(keys) if most is None else most)
    return f"{shown} of {entry.parent.name}" if keys else f"as {entry.parent.name}"


COLUMNS = (
    Column("run", "run", lambda e: e.name, lambda e: e.name, words=True),
    Column("score", "out of fold", lambda e: number(e.score) + "*" * e.optimistic, lambda e: e.score),
    Column("low", "95 % interval", lambda e: interval(e.low, e.high), lambda e: e.low),
    Column("difference", "difference", lambda e: number(e.difference, "+.4f"), lambda e: e.difference),
    Column(
        "sure",
        "95 % interval, paired",
        lambda e: interval(e.difference_low, e.difference_high, "+.4f"),
        lambda e: e.difference_low,
    ),
    Column("tuned", "tuned", lambda e: number(e.tuned), lambda e: e.tuned),
    Column("leaderboard", "leaderboard", lambda e: number(e.leaderboard, ".5g"), lambda e: e.leaderboard),
    Column("folds", "folds", folds_text, lambda e: float(len(e.finished))),
    Column("hours", "hours", lambda e: number(e.hours, ".3g"), lambda e: e.hours),
    Column("device", "device", lambda e: e.device or UNKNOWN, lambda e: e.device or None, words=True),
    Column("size", "size", lambda e: size_text(e.size), lambda e: float(e.size)),
    Column("ended", "ended", lambda e: e.ended[:16].replace("T", " ") or UNKNOWN, lambda e: e.ended or None),
    Column("changes", "what differs", changes_text, lambda e: changes_text(e, None), words=True),
)


def sorted_entries(entries: Sequence["Entry"], column: Column) -> list["Entry"]:
    """Sorted by a column, its best or highest first, what is not known last; equal ones by name."""
    named = sorted(entries, key=lambda entry: entry.name)
    known = [entry for entry in named if column.value(entry) is not None]
    known.sort(key=lambda entry: column.value(entry) or 0, reverse=not column.words)
    return [*known, *(entry for entry in named if column.value(entry) is None)]


def board_text(board: "Board", sort: str = "score") -> str:
    """The whole board for a terminal: the table of runs, and what the leaderboard's scores tell."""
    column = next(column for column in COLUMNS if column.name == sort)
    entries = sorted_entries(board.entries, column)
    rows = [[column.title for column in COLUMNS]]
    rows += [[column.text(entry) for column in COLUMNS] for entry in entries]
    widths = [max(len(row[place]) for row in rows) for place in range(len(COLUMNS))]
    left = [column.words for column in COLUMNS]
    lines = [
        "  ".join(
            t.ljust(w) if to_left else t.rjust(w) for t, w, to_left in zip(row, widths, left, strict=True)
        ).rstrip()
        for row in rows
    ]
    return "\n".join([*lines, *_notes(board), *board.medals, *_submissions(board)])


def _notes(board: "Board") -> list[str]:
    notes = []
    if board.reference is not None:
        notes.append(f"difference: from {board.reference.name}, on the images that both have scored out of fold")
    if board.unsure:
        notes.append(f"{first_few(board.unsure)}: a difference over fewer than six images or groups shows nothing")
    if any(entry.optimistic for entry in board.entries):
        notes.append("*: optimistic, learned from networks that saw the validation images")
    without = [entry.name for entry in board.entries if entry.score is not None and entry.low is None]
    if without:
        notes.append(
            f"no interval: {first_few(without)}, one image or group only, or trained before statistics were kept"
        )
    return notes + [f"{entry.name}: {entry.problem}" for entry in board.entries if entry.problem]


def _submissions(board: "Board") -> list[str]:
    if not board.submissions:
        return []
    noted = sum(submission.leaderboard is not None for submission in board.submissions)
    lines = [f"{len(board.submissions)} submissions, {noted} with a leaderboard score"]
    for gap in board.gaps:
        spread = "" if gap.spread is None else f", standard deviation {gap.spread:.4f}"
        of = f" ({gap.competition})" if gap.competition else ""
        lines.append(f"leaderboard - local{of}: {gap.mean:+.4f}{spread}, of {len(gap.submissions)}. {gap.sentence()}")
    return lines
