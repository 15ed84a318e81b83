"""Predict the test images with a run's (or several runs') folds and write a validated submission."""

from pathlib import Path

from maskfold.cli.arguments import open_runs, parse_sections, run_flags, runs_parser
from maskfold.cli.script import next_command, starting
from maskfold.config import override
from maskfold.ensembling.finished import folds_of
from maskfold.program import command_line
from maskfold.steps.competition import check_competition

SECTIONS = ("inference", "tta", "post")


def main() -> None:
    """Run the command."""
    parser = runs_parser(__doc__, SECTIONS)
    parser.add_argument(
        "--folds", nargs="+", metavar="K", help="folds whose networks are averaged; default: all trained"
    )
    parser.add_argument("--untuned", action="store_true", help="ignore ensemble.yaml: the config's own settings")
    parser.add_argument(
        "--out",
        type=Path,
        metavar="FILE",
        help="submission to write; default: submissions/RUN.csv (label files: .zip)",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace FILE if it exists")
    parser.add_argument("--save-probabilities", action="store_true", help="also save 8-bit probability maps")
    parser.add_argument("--oof", action="store_true", help="only compute out-of-fold maps, with these views")
    arguments, overrides = parse_sections(parser, SECTIONS)
    runs = open_runs(arguments.runs)
    folds = {run.path: arguments.folds or folds_of(run) for run in runs}
    check_competition(override(runs[0].config, overrides))
    listed = " and ".join(f"{path} (folds {', '.join(map(str, numbers))})" for path, numbers in folds.items())
    starting(f"Predicting with {listed} …")
    from maskfold.steps.predict import predict, predict_out_of_fold

    if arguments.oof:
        predict_out_of_fold(runs, untuned=arguments.untuned, overrides=overrides)
        return next_command(command_line("tune", run_flags(runs, overrides)))
    path = predict(
        runs,
        arguments.out,
        folds=arguments.folds,
        untuned=arguments.untuned,
        overrides=overrides,
        overwrite=arguments.overwrite,
        save_probabilities=arguments.save_probabilities,
    )
    scored = command_line("evaluate", f"--submission {path} --truth TRUTH")
    return next_command(f"{scored} (or upload it, then --note-lb SCORE)")
