"""What a fold was forecast to take from a trial of its first batches, and what it took.

    python benchmarks/bench_forecast.py [--repeats 3] [--busy]

The config is ``demo``, with five epochs of 80 small tiles; the forecast is the one that plans and ``train.hours`` are
made from. Whoever is beside other work on the machine looks at ``--busy``: seconds of the processor.
"""

import argparse
import contextlib
import io
import statistics
import tempfile
from pathlib import Path
from types import SimpleNamespace

import maskfold
from maskfold.config import Config
from maskfold.demo import make_demo
from maskfold.runs import Run
from maskfold.steps.settle import trial_run
from maskfold.training import fit
from maskfold.training import forecast as forecast_module
from maskfold.training import trial as trial_module
from maskfold.training.trial import Trial
from timing import clock_of, machine, print_row

LIMIT = 0.2  # that a forecast may be off


def main() -> None:
    """Print a row for each repetition."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3, help="folds that are forecast and trained (3)")
    parser.add_argument("--busy", action="store_true", help="count processor time: on a machine that others use")
    options = parser.parse_args()
    clock = clock_of(options.busy)
    for module in (forecast_module, trial_module):
        module.time = SimpleNamespace(monotonic=clock)
    print(machine("torch") + "\n")
    print_row("fold", "forecast, s", "taken, s", "off by", head=True)
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        make_demo(Path("data/demo"), train_tiles=80, test_tiles=8)
        keys = {"folds.count": 4, "data.workers": 0, "train.epochs": 5, "train.batch_size": 4, "train.trackers": []}
        config = maskfold.load_config("demo", keys)
        forecast(config)  # imports, compiled kernels
        off = []
        for repeat in range(options.repeats):
            expected = forecast(config)
            started = clock()
            with contextlib.redirect_stdout(io.StringIO()):
                fit(Run.create(config, Path("runs", str(repeat))), 0)
            taken = clock() - started
            off.append(expected / taken - 1)
            print_row(str(repeat + 1), f"{expected:.1f}", f"{taken:.1f}", f"{off[-1]:+.0%}")
    middle = statistics.median(off)
    verdict = "" if abs(middle) <= LIMIT else " (not reached)"
    print(f"\nin the median off by {middle:+.0%}, limit {LIMIT:.0%}{verdict}")


def forecast(config: Config) -> float:
    """Seconds of a fold."""
    with contextlib.redirect_stdout(io.StringIO()), trial_run(config) as run, Trial(run) as trial:
        work, pace = trial.timed()
    return work.forecast(pace).fold


if __name__ == "__main__":
    main()
