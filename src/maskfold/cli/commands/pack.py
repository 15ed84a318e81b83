"""Pack finished runs as one folder or archive that predicts elsewhere, with a model card."""

from pathlib import Path

from maskfold.cli.arguments import open_runs, parse_sections, runs_parser
from maskfold.cli.script import next_command, starting
from maskfold.config import override
from maskfold.ensembling.finished import folds_of
from maskfold.program import command_line
from maskfold.steps.competition import check_competition
from maskfold.steps.places import pack_path

SECTIONS = ("inference", "tta", "post")


def main() -> None:
    """Run the command."""
    parser = runs_parser(__doc__, SECTIONS)
    parser.add_argument("--folds", nargs="+", metavar="K", help="folds whose networks predict; default: all trained")
    parser.add_argument("--untuned", action="store_true", help="ignore ensemble.yaml: the config's own settings")
    parser.add_argument("--out", type=Path, metavar="PACK", help="folder or .zip archive to write; default: packs/RUN")
    parser.add_argument("--overwrite", action="store_true", help="replace PACK if it exists and is a pack")
    arguments, overrides = parse_sections(parser, SECTIONS)
    runs = open_runs(arguments.runs, overrides)
    folds = {run.path: arguments.folds or folds_of(run) for run in runs}
    check_competition(override(runs[0].config, overrides))
    listed = " and ".join(f"{path} (folds {', '.join(map(str, numbers))})" for path, numbers in folds.items())
    starting(f"Packing {listed} into {pack_path(runs, arguments.out)} …")
    from maskfold.steps.pack import pack

    path = pack(
        runs,
        arguments.out,
        folds=arguments.folds,
        untuned=arguments.untuned,
        overrides=overrides,
        overwrite=arguments.overwrite,
    )
    root = str(override(runs[0].config, overrides).competition.root)
    next_command(command_line("predict", "--pack", str(path), "--competition.root", root))
