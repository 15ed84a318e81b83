"""Say what a competition's files hold and everything that is wrong with them, before a night is lost."""

import sys
from pathlib import Path

from maskfold.checks import check_data
from maskfold.cli.arguments import RUNS, competition_of, config_flags, config_parser, parse
from maskfold.cli.script import next_command, run_script
from maskfold.report.data_page import write_data_page


def main() -> None:
    parser = config_parser(__doc__)
    parser.add_argument(
        "--html",
        nargs="?",
        const="",
        metavar="FILE",
        help="also write all findings with pictures and tables, as one page; default FILE: runs/NAME/data.html",
    )
    arguments, config = parse(parser)
    competition = competition_of(config)
    report = check_data(competition, config.folds)
    print(report.text())
    if arguments.html is not None:
        path = Path(arguments.html or RUNS / config.name / "data.html")
        write_data_page(report, competition, path)
        print(f"Page: {path} ({path.stat().st_size / 1e6:.1f} MB)")
    next_command(f"python src/make_folds.py{config_flags(arguments)}")
    if not report.ok:
        sys.exit(1)


if __name__ == "__main__":
    run_script(main)
