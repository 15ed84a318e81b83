"""Show what a competition's files hold and everything that is wrong with them, before a night is lost."""

import argparse
import sys
from pathlib import Path

from maskfold.cli.arguments import config_flags, config_parser, dotted_overrides, parse
from maskfold.cli.fit import measure
from maskfold.cli.found import folder_to_describe
from maskfold.cli.options import DATA_OPTIONS
from maskfold.cli.script import next_command, starting
from maskfold.cli.values import page_name
from maskfold.errors import CompetitionError
from maskfold.files import write_file
from maskfold.program import command_line
from maskfold.steps.competition import check_competition, open_competition
from maskfold.steps.places import LOCAL


def main() -> None:
    """Run the command."""
    parser = _parser()
    known, rest = parser.parse_known_args()
    if known.draft is not None:
        _draft(known.draft, folder_to_describe(dotted_overrides(rest, parser)), overwrite=known.overwrite)
        return
    arguments, config = parse(parser)
    check_competition(config)
    with starting("Reading every image and mask …"):
        from maskfold.checks import check_data

    competition = open_competition(config)
    report = check_data(competition, config.folds, config.targets.annotators)
    print(report.text())
    if arguments.html is not None:
        from maskfold.report.data_page import write_data_page

        path = Path(arguments.html or LOCAL / config.name / "data.html")
        write_data_page(report, competition, path)
        print(f"Page: {path} ({path.stat().st_size / 1e6:.1f} MB)")
    again = command_line("check-data", *config_flags(arguments))
    if not report.ok:
        found = "what is listed as a problem" if len(report.problems) == 1 else f"the {len(report.problems)} problems"
        next_command(f"repair {found} above; then {again}")
        sys.exit(1)
    if arguments.fit and (changes := measure(config)):
        next_command(f"{'; '.join(changes)}; then {again} --fit")
        sys.exit(1)
    next_command(command_line("make-folds", *config_flags(arguments)))


def _parser() -> argparse.ArgumentParser:
    parser = config_parser(__doc__, DATA_OPTIONS)
    parser.add_argument(
        "--html",
        nargs="?",
        const="",
        type=page_name,
        metavar="FILE",
        help="also write all findings with pictures and tables, as one page; default FILE: runs/NAME/data.html",
    )
    parser.add_argument(
        "--fit",
        action="store_true",
        help="also measure on this device, in a minute or more: memory (GB) and speed (images/s) of training and "
        "prediction as in the config, the largest batches that fit (images), and how long everything will take",
    )
    parser.add_argument(
        "--draft",
        type=Path,
        metavar="FILE",
        help="write a draft of a profile for files that nobody has described, each value with its reason, and nothing "
        "else; of the folder --competition.root, or of the one under data/ that fits no profile",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace the FILE of --draft if it exists")
    return parser


def _draft(path: Path, folder: Path, *, overwrite: bool) -> None:
    """Write the draft of a profile, and print what came of trying it out."""
    if path.suffix not in (".yaml", ".yml"):
        raise CompetitionError(f"--draft is {path}: a profile's name ends in .yaml")
    if path.exists() and not overwrite:
        raise CompetitionError(f"{path} exists: choose another name, or replace it with --overwrite")
    with starting(f"Looking at {folder} …"):
        from maskfold.checks.draft import draft_profile

    drafted = draft_profile(folder)
    write_file(path, drafted.text)
    print(drafted.summary())
    print(f"Draft: {path}")
    place = ("--competition.profile", str(path), "--competition.root", str(folder))
    left = [f"fill in {' and '.join(drafted.draft.open)} in {path}"] if drafted.draft.open else []
    wrong = [f"correct {path}"] if drafted.tried.problems else []
    next_command("; then ".join([*wrong, *left, command_line("check-data", *place)]))
    if drafted.tried.problems:
        sys.exit(1)
