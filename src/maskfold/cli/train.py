"""What the two training scripts share."""

import argparse
from collections.abc import Collection, Sequence
from typing import Any

import pandas as pd

from maskfold.cli.arguments import competition_of, with_root
from maskfold.cli.script import next_command
from maskfold.competitions import Competition
from maskfold.config import Config
from maskfold.runs import Run
from maskfold.training import ALL, ensure_folds, fit, processes


def fold_argument(text: str) -> int | str:
    """``3`` or ``all``."""
    if text != ALL and not text.isdecimal():
        raise argparse.ArgumentTypeError(f"'{text}' is neither a fold number nor 'all'")
    return text if text == ALL else int(text)


def train(config: Config, folds: Sequence[int | str] | None, *, overwrite: bool) -> Run:
    """Train some folds of the config's run (null: all that folds.csv holds) and say how each ended."""
    with processes().main_process_first():
        competition = competition_of(config)
        config = with_root(config, competition)
        run = Run.create(config, overwrite=_forgotten(config, folds) if overwrite else [])
    for fold in folds if folds is not None else _fold_numbers(run, competition, config):
        if run.fold(fold).finished():
            score = _score(run.fold(fold).summary())
            print(f"fold {fold} of {run.path} is trained ({score}): --overwrite trains it again")
            continue
        summary = fit(config, competition, run, fold)
        print(f"fold {fold} of {run.path} done: {_score(summary)}")
    processes().destroy_process_group()
    return run


def tell_next(run: Run, flags: str) -> None:
    """Name the next command: a fold that is still missing, else tuning."""
    finished = run.finished_folds()
    missing = sorted(set(pd.read_csv(run.folds_path)["fold"]) - set(finished))
    if missing:
        next_command(f"python src/train_fold.py{flags} --fold {missing[0]}")
    else:
        next_command(f"python src/tune.py --runs {run.path}")


def _forgotten(config: Config, folds: Sequence[int | str] | None) -> Collection[int | str]:
    if not processes().is_main_process:
        return []  # the main process went first
    return folds if folds is not None else Run.named(config.name).begun_folds()


def _fold_numbers(run: Run, competition: Competition, config: Config) -> list[int]:
    return sorted(set(ensure_folds(run.folds_path, competition, config)["fold"]))


def _score(summary: dict[str, Any]) -> str:
    if "score" not in summary:
        return "no validation images"
    return f"{summary['metric']} {summary['score']:.4f} with {summary['best_checkpoint']}"
