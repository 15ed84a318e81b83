"""What the board knows about the report's runs: their neighbours, and what the leaderboard said."""

from dataclasses import dataclass

from maskfold.board.board import Board
from maskfold.board.columns import COLUMNS, sorted_entries
from maskfold.board.entry import Entry
from maskfold.board.gap import Gap, Submission
from maskfold.runs import Run

NEIGHBOURS = 3  # above and below
SHOWN = ("run", "score", "low", "difference", "sure", "tuned", "leaderboard", "folds", "hours", "changes")


@dataclass(frozen=True)
class Beside:
    """The board around the report's runs.

    Attributes:
        titles: of the columns, and whether they hold words.
        rows: (whether it is one of the report's runs, the cells), the best first.
        place, of: of the first run, among those of its competition that have a score; 0: it has none.
        submissions: of exactly these runs, the latest first.
        gap: what local scores of this competition have been worth; None: no submission has both scores.
    """

    titles: list[tuple[str, bool]]
    rows: list[tuple[bool, list[str]]]
    place: int
    of: int
    submissions: list[Submission]
    gap: Gap | None


def look_beside(board: Board, runs: list[Run]) -> Beside:
    """The runs of the same competition that score next to the first run, and the report's others."""
    columns = [column for column in COLUMNS if column.name in SHOWN]
    profile, own = runs[0].config.competition.profile, {str(run.path) for run in runs}
    same = [entry for entry in board.entries if _profile(entry) == profile and entry.score is not None]
    ranked = sorted_entries(same, next(column for column in COLUMNS if column.name == "score"))
    place = next((number for number, entry in enumerate(ranked) if entry.path == str(runs[0].path)), None)
    near = range(0) if place is None else range(place - NEIGHBOURS, place + NEIGHBOURS + 1)
    shown = [entry for number, entry in enumerate(ranked) if number in near or entry.path in own]
    names = {run.name for run in runs}
    return Beside(
        titles=[(column.title, column.words) for column in columns],
        rows=[(entry.path in own, [column.text(entry) for column in columns]) for entry in shown],
        place=0 if place is None else place + 1,
        of=len(ranked),
        submissions=[each for each in reversed(board.submissions) if set(each.runs.split()) == names],
        gap=next((gap for gap in board.gaps if gap.competition == profile), None),
    )


def _profile(entry: Entry) -> str | None:
    return None if entry.config is None else entry.config.competition.profile
