"""Score a run out of fold, or a submission whose truth is at hand; validate one; note the leaderboard's score."""

import argparse
from pathlib import Path

from maskfold.cli.arguments import check_submissions, listed, open_runs, parse_sections, run_flags, runs_parser
from maskfold.cli.found import competition_of_submissions
from maskfold.cli.script import next_command, next_note, next_scores, starting
from maskfold.cli.values import finite
from maskfold.config import Config, override
from maskfold.ensembling.finished import finished_folds
from maskfold.program import command_line
from maskfold.steps.competition import check_competition, open_competition
from maskfold.steps.places import LOG

SECTIONS = ("inference", "tta", "post")


def main() -> None:
    """Run the command."""
    parser = runs_parser(__doc__, SECTIONS)
    parser.add_argument(
        "--submission",
        type=Path,
        metavar="FILE",
        help="submission to score or to note a score for; with neither --truth nor --note-lb it is validated",
    )
    parser.add_argument("--truth", type=Path, metavar="FILE", help="true masks in the competition's own form")
    parser.add_argument(
        "--like-test",
        action="store_true",
        help="for runs, also the score with images weighted by how much they look like test images; reads every image",
    )
    parser.add_argument(
        "--note-lb", type=finite, metavar="SCORE", help="leaderboard score of FILE (default: the latest)"
    )
    arguments, overrides = parse_sections(parser, SECTIONS)
    _check_together(parser, arguments)
    if arguments.note_lb is not None:
        _note(arguments.note_lb, arguments.submission)
    elif arguments.submission:
        check_submissions(arguments.submission, arguments.truth)
        if arguments.runs:
            config = override(open_runs(arguments.runs, overrides)[0].config, overrides)
        else:
            config = competition_of_submissions(overrides)
        (_evaluate_submission if arguments.truth else _validate)(arguments, config)
    else:
        _evaluate_runs(arguments.runs, overrides, like_test=arguments.like_test)


def _check_together(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> None:
    if arguments.truth and not arguments.submission:
        parser.error("--truth needs --submission")
    if arguments.truth and arguments.note_lb is not None:
        parser.error("--truth scores a submission and --note-lb notes a score: give one of them")
    if arguments.like_test and (arguments.submission or arguments.note_lb is not None):
        parser.error("--like-test belongs to runs: leave out --submission and --note-lb")


def _note(score: float, submission: Path | None) -> None:
    """Add the leaderboard's score to the log."""
    from maskfold.steps.submissions import note_score

    print(f"{LOG}: leaderboard {score:g} noted for {note_score(score, submission)}")


def _validate(arguments: argparse.Namespace, config: Config) -> None:
    """Compare a submission with the sample submission, or the test split, as `predict` does with its own."""
    check_competition(config, predicting=True)
    with starting(f"Validating {arguments.submission} …"):
        from maskfold.competitions import validate_submission

    validate_submission(arguments.submission, open_competition(config, predicting=True))
    print(f"Valid submission: {arguments.submission}")
    next_scores(arguments.submission)


def _evaluate_submission(arguments: argparse.Namespace, config: Config) -> None:
    check_competition(config, predicting=True)
    with starting(f"Scoring {arguments.submission} against {arguments.truth} …"):
        from maskfold.steps.evaluate import show_submission

    show_submission(arguments.submission, arguments.truth, open_competition(config, predicting=True))
    next_note(arguments.submission)


def _evaluate_runs(paths: list[Path] | None, overrides: dict, *, like_test: bool) -> None:
    runs = open_runs(paths, overrides)
    config = override(runs[0].config, overrides)
    for run in runs:
        finished_folds(run)
    check_competition(config)
    with starting(f"Scoring {listed(runs)} out of fold …"):
        from maskfold.steps.evaluate import show_runs

    tuned = show_runs(runs, open_competition(config), config, like_test=like_test)
    next_command(command_line("predict" if tuned else "tune", *run_flags(runs, overrides)))
