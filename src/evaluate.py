"""Score a run out of fold, or a submission whose truth is at hand; note what the leaderboard said."""

import shlex
from pathlib import Path

from maskfold.cli.arguments import (
    competition_of,
    default_config,
    open_runs,
    parse_sections,
    run_flags,
    runs_parser,
)
from maskfold.cli.evaluate import note, show_runs, show_submission
from maskfold.cli.script import next_command, run_script
from maskfold.config import load_config, override

SECTIONS = ("inference", "tta", "post")


def main() -> None:
    parser = runs_parser(__doc__, SECTIONS)
    parser.add_argument("--submission", type=Path, metavar="FILE", help="submission to score or to note a score for")
    parser.add_argument("--truth", type=Path, metavar="FILE", help="true masks in the competition's own form")
    parser.add_argument("--against", type=Path, metavar="FILE", help="another submission to compare with")
    parser.add_argument(
        "--note-lb", type=float, metavar="SCORE", help="leaderboard score of FILE (default: the latest)"
    )
    arguments, overrides = parse_sections(parser, SECTIONS)
    if arguments.against and not arguments.truth:
        parser.error("--against compares two submissions by their scores: give --submission and --truth too")
    if arguments.truth and not arguments.submission:
        parser.error("--truth needs --submission")
    if arguments.submission and arguments.truth is None and arguments.note_lb is None:
        parser.error("--submission needs --truth to be scored, or --note-lb to note the leaderboard's score")
    if arguments.note_lb is not None:
        note(arguments.note_lb, arguments.submission)
    elif arguments.truth:
        config = open_runs(arguments.runs)[0].config if arguments.runs else load_config(default_config())
        competition = competition_of(override(config, overrides))
        best = show_submission(arguments.submission, arguments.truth, arguments.against, competition)
        next_command(f"python src/evaluate.py --submission {shlex.quote(str(best))} --note-lb SCORE")
    else:
        runs = open_runs(arguments.runs)
        config = override(runs[0].config, overrides)
        tuned = show_runs(runs, competition_of(config), config)
        next_command(f"python src/{'predict' if tuned else 'tune'}.py{run_flags(runs, overrides)}")


if __name__ == "__main__":
    run_script(main)
