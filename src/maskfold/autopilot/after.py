"""The steps after a training: tuning, prediction, report, each within what is left."""

from collections.abc import Sequence
from pathlib import Path

from maskfold.autopilot.budget import Needs, cheapest_options, prediction_options
from maskfold.autopilot.command import run_command
from maskfold.autopilot.log import Log
from maskfold.ensembling.choice import read_ensemble
from maskfold.runs import Run
from maskfold.steps.places import ensemble_run


def tune(log: Log, runs: Sequence[Path], needs: Needs, rung: str = "first") -> bool:
    """Tune runs together, where there is time for it beside the prediction; whether that was done."""
    name, until = f"{rung}: tune", log.last - needs.predicting()
    if log.time_used() + needs.tuning() > until:
        log.end(name, "no time is left for it", ended="skipped")
        return False
    done = run_command(log, name, "tune", ["--runs", *map(str, runs)], until=until)
    if done:
        log.note(name, f"out-of-fold {read_ensemble(ensemble_run([Run(run) for run in runs]).ensemble_path).scored}")
    return done


def predict(
    log: Log, runs: Sequence[Path], submission: Path, needs: Needs, rung: str = "first", *, whole: bool = False
) -> bool:
    """Write the submission; whether that was done.

    Where that would take too long, a network predicts without views, or with one fold. It predicts once more, with as
    little as can be, where that failed or did not end in time; after a failure, which may be for want of memory, image
    by image. ``whole`` is with all folds and views or not at all: less may be worse than the submission that there is.
    """
    last, name = log.last, f"{rung}: predict"
    common = ["--runs", *map(str, runs), "--out", str(submission), "--overwrite"]
    cheapest = cheapest_options(Run(runs[0]).finished_folds()[0])
    if whole:
        if prediction_options(last - log.time_used(), needs, cheapest):
            log.end(name, "no time is left for all folds and views", ended="skipped")
            return False
        return run_command(log, name, "predict", common, until=last)
    first = last - needs.prediction(1, 1)
    options = prediction_options(first - log.time_used(), needs, cheapest)
    until = last if options == cheapest else first
    if run_command(log, name, "predict", [*common, *options], until=until):
        return True
    smallest = [] if log.time_used() >= until else ["--inference.batch_size", "1"]
    return run_command(log, f"{name} again", "predict", [*common, *cheapest, "--untuned", *smallest], until=last)


def report(log: Log, run: Path, needs: Needs) -> None:
    """Write the report of a run, where there is time for it."""
    if log.time_used() + 3 * needs.command > log.last:
        log.end("report", "no time is left for it", ended="skipped")
    else:
        run_command(log, "report", "report", ["--runs", str(run)], until=log.last)
