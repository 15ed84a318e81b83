"""All runs and submissions beside each other: what differs, what it scores, and whether that is more than noise."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from maskfold.board.columns import COLUMNS
from maskfold.cli.script import next_command, starting
from maskfold.cli.values import page_name
from maskfold.errors import RunError, nearest
from maskfold.program import command_line
from maskfold.runs.run import Run
from maskfold.steps.matching import refuse_repeated_runs
from maskfold.steps.places import LOCAL, LOG, RUNS, all_runs

SORTS = tuple(column.name for column in COLUMNS)


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=Path, nargs="+", metavar="DIR", help=f"run folders; default: all under {RUNS}/")
    parser.add_argument(
        "--reference",
        metavar="RUN",
        help="run that the others are compared with, by name or folder; default: the best of those that score "
        "the most images",
    )
    parser.add_argument(
        "--sort",
        choices=SORTS,
        default="score",
        metavar="COLUMN",
        help=f"column that the table is sorted by, the best first; one of {', '.join(SORTS)} (low, sure: lower ends of "
        "the score's and the difference's interval); default: score",
    )
    parser.add_argument(
        "--html",
        nargs="?",
        const="",
        type=page_name,
        metavar="FILE",
        help=f"also write one page with all of it, sortable, replaced if it exists; default FILE: {LOCAL}/board.html",
    )
    arguments = parser.parse_args()
    runs = [Run.open(path) for path in arguments.runs] if arguments.runs else all_runs()
    refuse_repeated_runs(runs)
    reference = None if arguments.reference is None else _named(arguments.reference, runs)
    with starting(f"Reading {len(runs)} run{'s' * (len(runs) > 1)} …"):
        from maskfold.board import board_text, make_board

    board = make_board(runs, LOG, reference)
    print(board_text(board, arguments.sort))
    if arguments.html is not None:
        from maskfold.report.board_page import write_board_page

        path = Path(arguments.html or LOCAL / "board.html")
        write_board_page(board, path, arguments.sort)
        print(f"Page: {path}")
    if board.reference is None:
        next_command(command_line("train-fold", "--fold", "0"))
    else:
        next_command(command_line("report", "--runs", str(board.reference.path)))


def _named(name: str, runs: Sequence[Run]) -> Run:
    """The run of that name or folder.

    Raises:
        RunError: it is not among those shown.
    """
    for run in runs:
        if name == run.name or Path(name) == run.path:
            return run
    hint = nearest(name, [run.name for run in runs])
    raise RunError(f"there is no run {name} among those shown: {hint}")
