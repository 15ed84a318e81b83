"""Compare two submissions: where they differ, as figures and as a picture; with the truth, which one is better."""

import argparse
from pathlib import Path

from maskfold.cli.arguments import add_competition, check_submissions, competition_config
from maskfold.cli.script import next_note, starting
from maskfold.cli.values import count_from, picture_name
from maskfold.steps.competition import check_competition, open_competition
from maskfold.steps.places import SUBMISSIONS


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("a", type=Path, metavar="A", help="a submission")
    parser.add_argument("b", type=Path, metavar="B", help="another submission for the same images")
    parser.add_argument("--truth", type=Path, metavar="FILE", help="true masks in the competition's own form")
    add_competition(parser)
    parser.add_argument(
        "--picture", type=picture_name, metavar="FILE", help="picture to write or replace; default: submissions/A_B.png"
    )
    parser.add_argument(
        "--images", type=count_from(1), default=6, metavar="N", help="images on the picture, from 1; default 6"
    )
    arguments = parser.parse_args()
    a, b, truth = arguments.a, arguments.b, arguments.truth
    check_submissions(a, b, truth)
    config = competition_config(arguments)
    check_competition(config, predicting=True)
    with starting(f"Comparing {a} and {b} …"):
        from maskfold.report.differences import save_differences
        from maskfold.scoring.agreement import compare_masks
        from maskfold.steps.evaluate import show_better

    competition = open_competition(config, predicting=True)
    agreement = compare_masks(a, b, competition)
    print(agreement.text())
    if competition.instances:
        print("Rows are objects: those of an image were compared as one mask; only a --truth is scored by objects")
    best = show_better(a, b, truth, competition) if truth else a
    picture = Path(arguments.picture or SUBMISSIONS / f"{a.stem}_{b.stem}.png")
    masks = competition.read_masks(truth) if truth else None
    if save_differences(agreement, competition, picture, count=arguments.images, truth=masks):
        print(f"Picture: {picture}")
    next_note(best)
