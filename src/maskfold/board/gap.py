"""What a local score is worth: submissions' own scores beside those that the leaderboard gave them."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd


@dataclass(frozen=True)
class Submission:
    """A row of the log; scores are None where they are not known.

    Attributes:
        competition: the profile of its runs; empty where they are not here any more.
        note: what stands behind the local score in the log.
    """

    time: str
    file: str
    runs: str
    folds: str
    competition: str
    local: float | None
    leaderboard: float | None
    note: str = ""

    @property
    def gap(self) -> float | None:
        """Leaderboard minus local."""
        return None if self.local is None or self.leaderboard is None else self.leaderboard - self.local


@dataclass(frozen=True)
class Gap:
    """Submissions to one competition that have both scores, at least one.

    Attributes:
        mean: of leaderboard minus local.
        spread: standard deviation of that; None of a single one.
        pairs: of submissions whose local scores differ.
        reversed: of the pairs that the leaderboard has not put in the local order, the one that differs most locally:
            the locally better one first; None: there is none.
        closest: the smallest local difference of a pair; None: there is no pair.
    """

    competition: str
    submissions: tuple[Submission, ...]
    mean: float
    spread: float | None
    pairs: int
    reversed: tuple[Submission, Submission] | None
    closest: float | None

    def sentence(self) -> str:
        """What a local difference has meant so far."""
        if not self.pairs:
            return "Two submissions with different local scores would tell what a difference is worth."
        if self.reversed is None:
            pairs = "the pair" if self.pairs == 1 else f"all {self.pairs} pairs"
            return (
                f"So far the leaderboard has put {pairs} of submissions in the local order, down to a local difference "
                f"of {self.closest:.4f}."
            )
        better, worse = self.reversed
        local = (better.local or 0) - (worse.local or 0)
        return (
            f"A difference of {local:.4f} locally has meant nothing so far: {better.file} is that much better than "
            f"{worse.file} here, and not on the leaderboard."
        )


def read_submissions(log: pd.DataFrame, profiles: Mapping[str, str]) -> list[Submission]:
    """The rows of `maskfold.scoring.read_log`; ``profiles`` of the competitions of the runs that are here, by name."""
    found = []
    for row in log.itertuples():
        runs = str(row.runs)
        local, note = _number_and_note(str(row.oof_score))
        competition = next((profiles[run] for run in runs.split() if run in profiles), "")
        leaderboard = _number_and_note(str(row.leaderboard))[0]
        facts = str(row.time), str(row.file), runs, str(row.folds)
        found.append(Submission(*facts, competition, local, leaderboard, note))
    return found


def gaps(submissions: Sequence[Submission]) -> list[Gap]:
    """One for each competition with a submission that has both scores."""
    both = [each for each in submissions if each.gap is not None]
    names = dict.fromkeys(each.competition for each in both)
    return [_gap(name, [each for each in both if each.competition == name]) for name in names]


def _gap(competition: str, submissions: Sequence[Submission]) -> Gap:
    local, board = (np.array([getattr(s, name) for s in submissions]) for name in ("local", "leaderboard"))
    here, there = (values[:, None] - values[None] for values in (local, board))
    better = here > 0
    turned = np.where(better & (there <= 0), here, 0)
    found = None
    if turned.any():
        first, second = np.unravel_index(int(turned.argmax()), turned.shape)
        found = submissions[int(first)], submissions[int(second)]
    differences = board - local
    return Gap(
        competition,
        tuple(submissions),
        float(differences.mean()),
        float(differences.std(ddof=1)) if len(differences) > 1 else None,
        int(better.sum()),
        found,
        float(here[better].min()) if better.any() else None,
    )


def _number_and_note(text: str) -> tuple[float | None, str]:
    """The number at the start of a text, and what follows."""
    found = re.match(r"\s*([-+]?[0-9.]+(?:[eE][-+]?[0-9]+)?)\s*(.*)", text)
    try:
        return (None, "") if found is None else (float(found[1]), found[2])
    except ValueError:
        return None, ""
