"""Write one self-contained HTML page about one or several runs: scores, curves, errors, what to try next."""

from pathlib import Path

from maskfold.cli.arguments import open_runs, parse_sections, run_flags, runs_parser
from maskfold.cli.script import next_command, starting
from maskfold.config import override
from maskfold.ensembling.finished import finished_folds
from maskfold.program import command_line
from maskfold.steps.competition import check_competition, open_competition
from maskfold.steps.places import ensemble_run


def main() -> None:
    """Run the command."""
    parser = runs_parser(__doc__)
    parser.add_argument(
        "--out", type=Path, metavar="FILE", help="page to write or replace; default: report.html in the run"
    )
    parser.add_argument(
        "--images",
        type=int,
        default=60,
        metavar="N",
        help="images of the gallery, a third each worst, median and most uncertain; suspects are added; default 60",
    )
    arguments, overrides = parse_sections(parser)
    runs = open_runs(arguments.runs)
    for run in runs:
        finished_folds(run)
    config = override(runs[0].config, overrides)
    check_competition(config)
    together = ensemble_run(runs)
    path = arguments.out or together.local_path / "report.html"
    starting(f"Reporting on {' + '.join(str(run.path) for run in runs)} …")
    from maskfold.report import make_report, read_choice

    choice = read_choice(runs, together.ensemble_path)
    report = make_report(runs, open_competition(config), choice, path, count=arguments.images)
    print(f"Report: {report.path} ({report.shown} images, {report.path.stat().st_size / 1e6:.1f} MB)")
    following = "predict" if report.findings.tuned else "tune"
    next_command(command_line(following, run_flags(runs, overrides)))
