"""Write a run's networks as one file that other programs run: ONNX or TorchScript."""

from pathlib import Path

from maskfold.cli.arguments import add_ensemble, listed_folds, open_runs, parse_sections, run_flags, runs_parser
from maskfold.cli.script import next_command, starting
from maskfold.config import override
from maskfold.program import command_line
from maskfold.steps.competition import check_competition
from maskfold.steps.places import export_path

SECTIONS = ("tta",)


def main() -> None:
    """Run the command."""
    parser = runs_parser(__doc__, SECTIONS)
    parser.add_argument(
        "--format",
        choices=("onnx", "torchscript"),
        default="onnx",
        help="form of the file; default onnx, which needs the packages of pip install 'maskfold[export]'",
    )
    add_ensemble(parser)
    parser.add_argument(
        "--checkpoint", metavar="NAME", help="best, ema, swa, snapshots …; default: as tuned, else as in the config"
    )
    parser.add_argument(
        "--out", type=Path, metavar="FILE", help="file to write, .onnx or .pt; default: RUN.onnx or RUN.pt in the run"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace FILE if it exists")
    arguments, overrides = parse_sections(parser, SECTIONS)
    runs = open_runs(arguments.runs, overrides)
    folds = listed_folds(runs, arguments.folds)
    check_competition(override(runs[0].config, overrides))
    export_path(runs, arguments.format, arguments.out, overwrite=arguments.overwrite)
    with starting(f"Exporting {folds} …"):
        from maskfold.steps.export import export

    export(
        runs,
        arguments.out,
        form=arguments.format,
        folds=arguments.folds,
        checkpoint=arguments.checkpoint,
        untuned=arguments.untuned,
        overrides=overrides,
        overwrite=arguments.overwrite,
    )
    engine = ["--engine", "onnx"] if arguments.format == "onnx" else []
    next_command(command_line("predict", *run_flags(runs, overrides), *engine))
