"""What the two training scripts share."""

import argparse
from collections.abc import Sequence
from typing import Any

from maskfold.cli.arguments import RUNS, competition_of, with_root
from maskfold.cli.script import next_command
from maskfold.config import Config
from maskfold.runs import Run
from maskfold.training import ALL, fit, processes


def fold_argument(text: str) -> int | str:
    """``3`` or ``all``."""
    if text != ALL and not text.isdecimal():
        raise argparse.ArgumentTypeError(f"'{text}' is neither a fold number nor 'all'")
    return text if text == ALL else int(text)


def train(config: Config, folds: Sequence[int | str] | None, *, overwrite: bool) -> Run:
    """Train some folds of the config's run (null: all that folds.csv holds) and say how each ended."""
    with processes().main_process_first():
        config = with_root(config, competition_of(config))
        run = Run(RUNS / config.name)
        if overwrite and processes().is_main_process:  # the main process goes first
            run.restart(folds if folds is not None else run.begun_folds(), config)
        run.adopt(config)
        numbers = sorted(set(run.folds()["fold"]))
    for fold in folds if folds is not None else numbers:
        if run.fold(fold).finished() and not run.fold(fold).may_continue(config.train.max_hours):
            score = _score(run.fold(fold).summary())
            print(f"fold {fold} of {run.path} is trained ({score}): --overwrite trains it again")
            continue
        summary = fit(run, fold)
        print(f"fold {fold} of {run.path} done: {_score(summary)}")
    processes().destroy_process_group()
    return run


def tell_next(run: Run, flags: str) -> None:
    """Name the next command: a fold that is still missing, else tuning."""
    finished = run.finished_folds()
    missing = sorted(set(run.folds()["fold"]) - set(finished))
    if missing:
        next_command(f"python src/train_fold.py{flags} --fold {missing[0]}")
    else:
        next_command(f"python src/tune.py --runs {run.path}")


def _score(summary: dict[str, Any]) -> str:
    if "score" not in summary:
        return "no validation images"
    return f"{summary['metric']} {summary['score']:.4f} with {summary['best_checkpoint']}"
