"""Show what a competition's files hold and everything that is wrong with them, before a night is lost."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from maskfold.cli.arguments import config_flags, config_parser, parse
from maskfold.cli.options import DATA_OPTIONS
from maskfold.cli.script import next_command, starting
from maskfold.errors import first_few
from maskfold.program import command_line
from maskfold.steps.competition import check_competition, open_competition
from maskfold.steps.places import RUNS

if TYPE_CHECKING:
    from maskfold.checks.report import DataReport


def main() -> None:
    """Run the command."""
    parser = config_parser(__doc__, DATA_OPTIONS)
    parser.add_argument(
        "--html",
        nargs="?",
        const="",
        metavar="FILE",
        help="also write all findings with pictures and tables, as one page; default FILE: runs/NAME/data.html",
    )
    arguments, config = parse(parser)
    check_competition(config)
    starting("Reading every image and mask …")
    from maskfold.checks import check_data

    competition = open_competition(config)
    report = check_data(competition, config.folds)
    print(report.text())
    if arguments.html is not None:
        from maskfold.report.data_page import write_data_page

        path = Path(arguments.html or RUNS / config.name / "data.html")
        write_data_page(report, competition, path)
        print(f"Page: {path} ({path.stat().st_size / 1e6:.1f} MB)")
    if report.ok:
        next_command(command_line("make-folds", config_flags(arguments)))
    else:
        next_command(_repair(report, command_line("check-data", config_flags(arguments))))
        sys.exit(1)


def _repair(report: "DataReport", again: str) -> str:
    """What to mend, the first problems by name, and the command that checks it again."""
    return f"repair {first_few(report.problems, 2)}; then {again}"
