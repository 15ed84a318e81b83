"""Say what a contest's files hold and everything that is wrong with them, before a night is lost."""

import sys

from maskfold.cli.arguments import config_flags, config_parser, open_contest, parse
from maskfold.cli.script import next_command, run_script
from maskfold.datasets import check_data


def main() -> None:
    arguments, config = parse(config_parser(__doc__))
    report = check_data(open_contest(config), config.folds)
    print(report.text())
    next_command(f"python src/make_folds.py{config_flags(arguments)}")
    if not report.ok:
        sys.exit(1)


if __name__ == "__main__":
    run_script(main)
