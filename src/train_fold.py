"""Train one fold; interrupted, the same command goes on from the last complete epoch."""

from maskfold.cli.arguments import config_flags, config_parser, parse
from maskfold.cli.script import run_script
from maskfold.cli.train import fold_argument, tell_next, train


def main() -> None:
    parser = config_parser(__doc__)
    parser.add_argument(
        "--fold",
        type=fold_argument,
        required=True,
        metavar="K",
        help="fold number from 0, or 'all': train on every image",
    )
    parser.add_argument("--overwrite", action="store_true", help="forget this fold's earlier training")
    arguments, config = parse(parser)
    run = train(config, [arguments.fold], overwrite=arguments.overwrite)
    tell_next(run, config_flags(arguments))


if __name__ == "__main__":
    run_script(main)
