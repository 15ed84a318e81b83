"""Where the steps look and write, relative to the current folder."""

from collections.abc import Sequence
from pathlib import Path

from maskfold.runs.run import Run

DATA = Path("data")
DEMO = DATA / "demo"
PSEUDO = DATA / "pseudo"
RUNS = Path("runs")
SUBMISSIONS = Path("submissions")


def as_runs(runs: Run | Sequence[Run]) -> list[Run]:
    """One run or several, as a list."""
    return [runs] if isinstance(runs, Run) else list(runs)


def ensemble_run(runs: Run | Sequence[Run]) -> Run:
    """Where the ensemble of these runs is kept: in the run itself, or in A+B beside the first one."""
    listed = as_runs(runs)
    return listed[0] if len(listed) == 1 else Run(listed[0].path.parent / "+".join(run.name for run in listed))
