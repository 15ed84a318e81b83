"""Predict the test images with a run's (or several runs') folds and write a validated submission."""

import argparse
from pathlib import Path
from typing import Any

from maskfold.cli.arguments import add_ensemble, listed_folds, open_runs, parse_sections, run_flags, runs_parser
from maskfold.cli.engine import add_cluster, cluster_of
from maskfold.cli.script import next_command, next_scores, starting
from maskfold.cli.values import count_from
from maskfold.config import override
from maskfold.packing.read import open_pack
from maskfold.program import command_line
from maskfold.steps.competition import check_competition

SECTIONS = ("inference", "tta", "post")


def main() -> None:
    """Run the command."""
    parser = runs_parser(__doc__, SECTIONS)
    add_ensemble(parser)
    parser.add_argument(
        "--out",
        type=Path,
        metavar="FILE",
        help="submission to write; default: submissions/RUN.csv (label files: .zip)",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace FILE if it exists")
    parser.add_argument("--save-probabilities", action="store_true", help="also save 8-bit probability maps")
    parser.add_argument(
        "--engine",
        choices=("torch", "onnx", "ray"),
        default="torch",
        help="what the networks run on; default torch; onnx: onnxruntime, in float32 (pip install 'maskfold[export]'); "
        "ray: torch on the machines of a Ray cluster (docs/machines.md)",
    )
    add_cluster(parser, "--gpus-per-shard")
    parser.add_argument(
        "--pack", type=Path, metavar="PACK", help="predict with a pack, a folder or .zip by pack.py, instead of runs"
    )
    parser.add_argument(
        "--parallel",
        type=count_from(1),
        metavar="N",
        help="processes that share the images, each with a GPU of its own or its share of the cores; default: one for "
        "each GPU, else one",
    )
    parser.add_argument("--oof", action="store_true", help="only compute out-of-fold maps, with these views")
    arguments, overrides = parse_sections(parser, SECTIONS)
    if arguments.pack is None:
        _from_runs(arguments, overrides, parser)
    else:
        _from_pack(arguments, overrides, parser)


def _from_runs(arguments: argparse.Namespace, overrides: dict[str, Any], parser: argparse.ArgumentParser) -> None:
    if arguments.oof and arguments.parallel:
        parser.error("--oof cannot be combined with --parallel: out-of-fold maps use all GPUs anyway")
    if arguments.oof and arguments.engine == "onnx":
        parser.error("--oof cannot be combined with --engine onnx: out-of-fold maps are made with torch")
    runs = open_runs(arguments.runs, overrides)
    folds = listed_folds(runs, arguments.folds)
    check_competition(override(runs[0].config, overrides), predicting=not arguments.oof)
    with starting(f"Predicting with {folds} …"):
        from maskfold.steps.predict import predict, predict_out_of_fold

    if arguments.oof:
        predict_out_of_fold(runs, untuned=arguments.untuned, overrides=overrides, cluster=cluster_of(arguments))
        return next_command(command_line("tune", *run_flags(runs, overrides)))
    path = predict(runs, untuned=arguments.untuned, **_shared(arguments, overrides))
    return next_scores(path, run_flags(runs, overrides))


def _from_pack(arguments: argparse.Namespace, overrides: dict[str, Any], parser: argparse.ArgumentParser) -> None:
    if arguments.runs or arguments.oof or arguments.untuned:
        parser.error(
            "--pack cannot be combined with --runs, --oof or --untuned: a pack holds its runs and what was chosen for "
            "them"
        )
    with open_pack(arguments.pack) as pack:
        check_competition(override(pack.config, overrides), predicting=True)
        with starting(f"Predicting with {arguments.pack} …"):
            from maskfold.steps.predict import predict_pack

        next_scores(predict_pack(pack, **_shared(arguments, overrides)))


def _shared(arguments: argparse.Namespace, overrides: dict[str, Any]) -> dict[str, Any]:
    cluster = cluster_of(arguments)
    engine = "torch" if cluster else arguments.engine
    names = ("out", "folds", "overwrite", "save_probabilities", "parallel")
    return {
        "overrides": overrides,
        "engine": engine,
        "cluster": cluster,
        **{name: getattr(arguments, name) for name in names},
    }
