"""Train all folds, one after the other or several at a time; interrupted, the same command goes on where it stopped."""

import argparse
from dataclasses import replace

from maskfold.cli.arguments import config_flags, config_parser, parse
from maskfold.cli.engine import add_engine, cluster_flags, cluster_of
from maskfold.cli.fit import add_dry_run, dry_run
from maskfold.cli.train import train_and_tell
from maskfold.cli.values import count_from
from maskfold.ensembling.finished import refuse_repeated_folds
from maskfold.program import command_line
from maskfold.steps.competition import check_competition


def main() -> None:
    """Run the command."""
    parser = config_parser(__doc__)
    parser.add_argument(
        "--folds",
        type=int,
        nargs="+",
        metavar="K",
        help="only these folds; default: all of them, or the first folds.trained",
    )
    parser.add_argument(
        "--parallel",
        type=count_from(1),
        default=1,
        metavar="N",
        help="folds trained at a time, each with a GPU of its own or its share of the cores; default: 1",
    )
    add_engine(parser)
    parser.add_argument(
        "--workers-per-fold",
        type=count_from(1),
        default=1,
        metavar="N",
        help="processes on the cluster that train a fold together, as with torchrun; default: 1",
    )
    parser.add_argument("--overwrite", action="store_true", help="train these folds from the start")
    add_dry_run(parser)
    arguments, config = parse(parser)
    cluster = cluster_of(arguments)
    if cluster is not None:
        cluster = replace(cluster, together=arguments.workers_per_fold)
    elif arguments.workers_per_fold > 1:
        parser.error("--workers-per-fold needs --engine ray; on one machine: torchrun --nproc-per-node N train_fold.py")
    refuse_repeated_folds(arguments.folds or ())
    if arguments.dry_run:
        check_competition(config)
        folds = None if arguments.folds is None else len(arguments.folds)
        dry_run(config, command_line("train-all", *config_flags(arguments), *_own_flags(arguments)), folds)
        return
    train_and_tell(
        config,
        arguments.folds,
        config_flags(arguments),
        overwrite=arguments.overwrite,
        parallel=arguments.parallel,
        cluster=cluster,
    )


def _own_flags(arguments: argparse.Namespace) -> list[str]:
    """The options of this command that were given, for the next one."""
    flags = ["--folds", *map(str, arguments.folds)] if arguments.folds is not None else []
    flags += ["--parallel", str(arguments.parallel)] if arguments.parallel > 1 else []
    flags += cluster_flags(arguments) if arguments.engine != "local" else []
    flags += ["--workers-per-fold", str(arguments.workers_per_fold)] if arguments.workers_per_fold > 1 else []
    return [*flags, "--overwrite"] if arguments.overwrite else flags
