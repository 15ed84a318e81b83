"""Write one self-contained HTML page about one or several runs: scores, curves, errors, what to try next."""

import time
from pathlib import Path

from maskfold.cli.arguments import listed, open_runs, parse_sections, run_flags, runs_parser
from maskfold.cli.script import next_command, starting
from maskfold.config import override
from maskfold.ensembling.finished import finished_folds
from maskfold.errors import ReportError
from maskfold.program import command_line
from maskfold.runs.run import Run
from maskfold.steps.competition import check_competition, open_competition
from maskfold.steps.places import LOG, ensemble_run, runs_beside


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
    parser.add_argument(
        "--live",
        nargs="?",
        const=15.0,
        type=float,
        metavar="SECONDS",
        help="instead, while the runs train, in another terminal: write a page about how far they are, with curves and "
        "pictures, every so many seconds (15) until all folds are finished or Ctrl-C; open the page in a browser, "
        "where it reloads itself and asks nothing of any network; default FILE: live.html in the run",
    )
    arguments, overrides = parse_sections(parser)
    runs = open_runs(arguments.runs, overrides)
    if arguments.live is not None:
        _live(runs, arguments.out or ensemble_run(runs).local_path / "live.html", arguments.live)
        return
    for run in runs:
        finished_folds(run)
    config = override(runs[0].config, overrides)
    check_competition(config)
    together = ensemble_run(runs)
    path = arguments.out or together.local_path / "report.html"
    with starting(f"Reporting on {listed(runs)} …"):
        from maskfold.board import make_board
        from maskfold.report import make_report, read_choice

    choice = read_choice(runs, together.ensemble_path)
    board = make_board(runs_beside(runs), LOG, runs[0])
    report = make_report(runs, open_competition(config), choice, path, count=arguments.images, board=board)
    print(f"Report: {report.path} ({report.shown} images, {report.path.stat().st_size / 1e6:.1f} MB)")
    following = "predict" if report.findings.tuned else "tune"
    next_command(command_line(following, *run_flags(runs, overrides)))


def _live(runs: list[Run], path: Path, every: float) -> None:
    """Follow trainings that go on."""
    if not every >= 1:
        raise ReportError(f"--live is {every:g}: give the seconds between two pages, 1 or more")
    with starting(f"Following {listed(runs)}: open {path} in a browser; Ctrl-C ends it"):
        from maskfold.report.live import follow

    follow(runs, path, every, time.sleep)
    print(f"Page: {path} (all folds are finished)")
    next_command(command_line("report", *run_flags(runs, {})))
