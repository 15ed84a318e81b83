"""Merge submissions by vote, pixel by pixel (rows of instances: object by object), into one that is validated."""

import argparse
from pathlib import Path

from maskfold.cli.arguments import add_competition, check_submissions, competition_config
from maskfold.cli.script import next_command, starting
from maskfold.program import command_line
from maskfold.steps.competition import check_competition


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("first", type=Path, metavar="A", help="a submission")
    parser.add_argument("others", type=Path, metavar="B", nargs="+", help="further ones for the same images")
    parser.add_argument(
        "--weights", type=float, nargs="+", metavar="W", help="votes that A, B … have, above 0; default 1 each"
    )
    parser.add_argument(
        "--least",
        type=float,
        metavar="VOTES",
        help="votes from which a pixel is foreground (rows of instances: an object is kept); default: more than half "
        "of all; not for classes that exclude each other, of which the one with the most votes wins",
    )
    add_competition(parser)
    parser.add_argument(
        "--out",
        type=Path,
        metavar="FILE",
        help="submission to write; default: submissions/vote.csv (label files: .zip)",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace FILE if it exists")
    arguments = parser.parse_args()
    submissions = [arguments.first, *arguments.others]
    if arguments.weights is not None and len(arguments.weights) != len(submissions):
        parser.error(f"--weights has {len(arguments.weights)} numbers, there are {len(submissions)} submissions")
    check_submissions(*submissions)
    config = competition_config(arguments)
    check_competition(config, predicting=True)
    with starting(f"Voting between {', '.join(map(str, submissions))} …"):
        from maskfold.steps.vote import vote

    path = vote(
        submissions,
        config,
        arguments.out,
        weights=arguments.weights,
        least=arguments.least,
        overwrite=arguments.overwrite,
    )
    next_command(command_line("compare", str(submissions[0]), str(path)))
