"""Pack finished runs as one folder or archive that predicts elsewhere, with a model card."""

from pathlib import Path

from maskfold.cli.arguments import add_ensemble, listed_folds, open_runs, parse_sections, runs_parser
from maskfold.cli.script import next_command, starting
from maskfold.config import override
from maskfold.program import command_line
from maskfold.steps.competition import check_competition
from maskfold.steps.places import pack_path

SECTIONS = ("inference", "tta", "post")


def main() -> None:
    """Run the command."""
    parser = runs_parser(__doc__, SECTIONS)
    add_ensemble(parser)
    parser.add_argument("--out", type=Path, metavar="PACK", help="folder or .zip archive to write; default: packs/RUN")
    parser.add_argument("--overwrite", action="store_true", help="replace PACK if it exists and is a pack")
    arguments, overrides = parse_sections(parser, SECTIONS)
    runs = open_runs(arguments.runs, overrides)
    folds = listed_folds(runs, arguments.folds)
    check_competition(override(runs[0].config, overrides))
    with starting(f"Packing {folds} into {pack_path(runs, arguments.out)} …"):
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
