"""Train all folds, one after the other; interrupted, the same command goes on where it stopped."""

from maskfold.cli.arguments import config_flags, config_parser, parse
from maskfold.cli.train import train_and_tell


def main() -> None:
    """Run the command."""
    parser = config_parser(__doc__)
    parser.add_argument("--folds", type=int, nargs="+", metavar="K", help="only these folds; default: all of them")
    parser.add_argument("--overwrite", action="store_true", help="train these folds from the start")
    arguments, config = parse(parser)
    train_and_tell(config, arguments.folds, config_flags(arguments), overwrite=arguments.overwrite)
