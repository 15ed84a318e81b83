"""Label images without masks by a run's networks, and write what is sure enough as a folder to train on."""

import argparse
from pathlib import Path

from maskfold.cli.arguments import listed, open_runs, parse_sections, runs_parser
from maskfold.cli.script import next_command, starting
from maskfold.cli.values import share
from maskfold.config import override
from maskfold.ensembling.finished import finished_folds, folds_of
from maskfold.errors import CompetitionError
from maskfold.program import command_line
from maskfold.runs.pseudo_rules import SHARE, Rules
from maskfold.steps.competition import check_competition

SECTIONS = ("inference", "tta")


def main() -> None:
    """Run the command."""
    arguments, overrides = parse_sections(_parser(), SECTIONS)
    runs = open_runs(arguments.runs, overrides)
    for run in runs:
        (folds_of if arguments.all_folds else finished_folds)(run)
    if arguments.images is not None and not arguments.images.is_dir():
        raise CompetitionError(f"there is no folder {arguments.images}: give --images a folder of images")
    check_competition(override(runs[0].config, overrides))
    with starting(f"Labelling with {listed(runs)} …"):
        from maskfold.steps.pseudo import pseudo_label

    path = pseudo_label(
        runs,
        arguments.out,
        images=arguments.images,
        rules=Rules(**{name: getattr(arguments, name) for name in Rules.model_fields}),
        calibrated=arguments.calibrated,
        all_folds=arguments.all_folds,
        overrides=overrides,
        overwrite=arguments.overwrite,
    )
    config = ("--config", str(runs[0].config_path), "--name", f"{runs[0].name}_pseudo")
    next_command(command_line("train-all", *config, "--data.extra", f"[{path}]"))


def _parser() -> argparse.ArgumentParser:
    parser, rules = runs_parser(__doc__, SECTIONS), Rules()
    parser.add_argument(
        "--images", type=Path, metavar="DIR", help="folder of images to label; default: the competition's test images"
    )
    parser.add_argument("--out", type=Path, metavar="DIR", help="folder to write; default: data/pseudo/RUN")
    parser.add_argument(
        "--confidence",
        type=share,
        default=rules.confidence,
        metavar="P",
        help=f"probability of what a pixel is taken for, below which it does not count; default {rules.confidence}",
    )
    parser.add_argument(
        "--confident-share",
        type=share,
        metavar="S",
        help=f"keep images of which this share of the pixels counts; default {SHARE}, without --mean-confidence",
    )
    parser.add_argument(
        "--mean-confidence",
        type=share,
        metavar="P",
        help="keep images whose pixels have this mean confidence; with --confident-share: either suffices",
    )
    parser.add_argument("--hard", action="store_true", help="labels of 0 and 1; default: probabilities")
    parser.add_argument(
        "--calibrated",
        action="store_true",
        help="probabilities at the temperature that suits the other folds' out-of-fold images, where that helps",
    )
    parser.add_argument(
        "--all-folds",
        action="store_true",
        help="label by the networks of all folds: surer, but out-of-fold scores are optimistic from then on",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace DIR if it holds pseudo-labels")
    return parser
