"""Where the work is done: on this machine, or on a Ray cluster."""

import argparse

from maskfold.cluster import Cluster


def add_engine(parser: argparse.ArgumentParser) -> None:
    """Options that choose it."""
    parser.add_argument(
        "--engine",
        choices=("local", "ray"),
        default="local",
        help="where the work is done; default local: this machine; ray: a Ray cluster (docs/machines.md)",
    )
    add_cluster(parser, "--gpus-per-fold")


def add_cluster(parser: argparse.ArgumentParser, gpus: str) -> None:
    """Options that name the cluster; ``gpus`` is the one of a GPU's share, such as ``--gpus-per-fold``."""
    parser.add_argument(
        "--address", default="auto", metavar="HOST:PORT", help="of the Ray cluster; default auto: this machine's own"
    )
    parser.add_argument(
        gpus,
        dest="gpus",
        type=float,
        metavar="F",
        help=f"share of a GPU for each {gpus.rpartition('-')[2]} on the cluster, such as 0.5; default: 1, or none",
    )


def cluster_of(arguments: argparse.Namespace) -> Cluster | None:
    """The cluster that the options name; None: this machine."""
    return Cluster(arguments.address, arguments.gpus) if arguments.engine == "ray" else None


def cluster_flags(arguments: argparse.Namespace) -> list[str]:
    """The options that name the cluster for folds, as they were given."""
    flags = ["--engine", "ray", "--address", arguments.address]
    return flags + ([] if arguments.gpus is None else ["--gpus-per-fold", f"{arguments.gpus:g}"])
