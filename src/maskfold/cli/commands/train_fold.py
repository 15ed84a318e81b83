"""Train one fold; interrupted, the same command goes on from the last complete epoch."""

from maskfold.cli.arguments import config_flags, config_parser, parse
from maskfold.cli.train import fold_argument, train_and_tell


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
    arguments, config = parse(parser)
    train_and_tell(config, [arguments.fold], config_flags(arguments), overwrite=arguments.overwrite)
