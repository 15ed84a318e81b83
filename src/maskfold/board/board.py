"""All runs and all submissions, read from their files: nothing is computed from images or maps, nothing is written."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from maskfold.board.compare import compare_entries, score_entries
from maskfold.board.entry import Entry, read_entry
from maskfold.board.gap import Gap, Submission, gaps, read_submissions
from maskfold.board.medals import medal_card
from maskfold.board.parents import find_parents, known_configs
from maskfold.metrics.bootstrap import FEWEST_GROUPS
from maskfold.runs.run import Run
from maskfold.scoring.submission_log import read_log


@dataclass(frozen=True)
class Board:
    """Runs and submissions, with what they tell about each other.

    Attributes:
        entries: a run each.
        reference: the entry that the others are compared with; None: no run has statistics.
        submissions: in the order of the log.
        gaps: between local and leaderboard scores, one for each competition.
        medals: where runs would have stood on closed boards, a line each.
    """

    entries: list[Entry]
    reference: Entry | None
    submissions: list[Submission]
    gaps: list[Gap]
    medals: list[str]

    @property
    def unsure(self) -> list[str]:
        """The runs whose difference has an interval over so few images or groups that it says little."""
        return [entry.name for entry in self.entries if entry.units is not None and entry.units < FEWEST_GROUPS]


def make_board(runs: Sequence[Run], log: Path, reference: Run | None = None) -> Board:
    """Read runs and the log of submissions.

    Args:
        runs: in any order.
        log: ``submissions/log.csv``; it need not be there.
        reference: one of ``runs`` that the others are compared with; None: the best of those that score the most
            images.
    """
    entries = [read_entry(run) for run in runs]
    configs = {entry.path: entry.config for entry in entries if entry.config is not None}
    parents = find_parents(configs, known_configs())
    for entry in entries:
        entry.parent = parents.get(entry.path)
    score_entries(entries)
    chosen = _reference(entries, reference)
    if chosen is not None:
        compare_entries(entries, chosen)
    profiles = {entry.name: entry.config.competition.profile for entry in entries if entry.config is not None}
    submissions = read_submissions(read_log(log), profiles)
    for entry in entries:
        noted = [s.leaderboard for s in submissions if s.runs == entry.name and s.leaderboard is not None]
        entry.leaderboard = max(noted, default=None)
    return Board(entries, chosen, submissions, gaps(submissions), medal_card(entries))


def _reference(entries: Sequence[Entry], asked: Run | None) -> Entry | None:
    if asked is not None:
        return next(entry for entry in entries if entry.path == str(asked.path))
    scored = [entry for entry in entries if entry.statistics is not None and entry.score is not None]
    return max(scored, key=lambda entry: (entry.images or 0, entry.score or 0.0), default=None)
