"""Train one fold; interrupted, the same command goes on from the last complete epoch."""

from maskfold.cli.arguments import config_flags, config_parser, parse
from maskfold.cli.fit import add_dry_run, dry_run
from maskfold.cli.train import fold_argument, train_and_tell
from maskfold.program import command_line
from maskfold.steps.competition import check_competition


def main() -> None:
    """Run the command."""
    parser = config_parser(__doc__)
    parser.add_argument(
        "--fold",
        type=fold_argument,
        required=True,
        metavar="K",
        help="fold number from 0, or 'all': train on every image",
    )
    parser.add_argument("--overwrite", action="store_true", help="train this fold from the start")
    add_dry_run(parser)
    arguments, config = parse(parser)
    if arguments.dry_run:
        check_competition(config)
        again = ["--overwrite"] if arguments.overwrite else []
        dry_run(
            config, command_line("train-fold", *config_flags(arguments), "--fold", str(arguments.fold), *again), folds=1
        )
        return
    train_and_tell(config, [arguments.fold], config_flags(arguments), overwrite=arguments.overwrite)
