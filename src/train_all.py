"""Train all folds, one after the other; interrupted, the same command goes on where it stopped."""

from maskfold.cli.arguments import config_flags, config_parser, parse
from maskfold.cli.script import run_script
from maskfold.cli.train import tell_next, train


def main() -> None:
    parser = config_parser(__doc__)
    parser.add_argument("--folds", type=int, nargs="+", metavar="K", help="only these folds; default: all of them")
    parser.add_argument("--overwrite", action="store_true", help="forget these folds' earlier training")
    arguments, config = parse(parser)
    run = train(config, arguments.folds, overwrite=arguments.overwrite)
    tell_next(run, config_flags(arguments))


if __name__ == "__main__":
    run_script(main)
