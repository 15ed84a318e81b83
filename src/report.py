"""Write one self-contained HTML page about one or several runs: scores, curves, errors, what to try next."""

from pathlib import Path

from maskfold.cli.arguments import competition_of, open_runs, parse_sections, run_flags, runs_parser
from maskfold.cli.predict import ensemble_run
from maskfold.cli.script import next_command, run_script
from maskfold.config import override
from maskfold.report import make_report, read_choice


def main() -> None:
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
    together = ensemble_run(runs)
    choice = read_choice(runs, together.ensemble_path)
    path = arguments.out or together.path / "report.html"
    report = make_report(
        runs, competition_of(override(runs[0].config, overrides)), choice, path, count=arguments.images
    )
    print(f"Report: {report.path} ({report.shown} images, {report.path.stat().st_size / 1e6:.1f} MB)")
    next_command(f"python src/{'predict' if report.findings.tuned else 'tune'}.py{run_flags(runs, overrides)}")


if __name__ == "__main__":
    run_script(main)
