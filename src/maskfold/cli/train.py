"""What the two training commands share."""

import argparse
from collections.abc import Sequence

from maskfold.cli.script import if_interrupted, next_command, starting
from maskfold.cluster import Cluster
from maskfold.config import Config
from maskfold.program import command_line
from maskfold.runs.fold import ALL
from maskfold.runs.run import Run
from maskfold.steps.competition import check_competition
from maskfold.steps.places import RUNS


def fold_argument(text: str) -> int | str:
    """``3`` or ``all``."""
    if text != ALL and not text.isdecimal():
        raise argparse.ArgumentTypeError(f"'{text}' is neither a fold number nor 'all'")
    return text if text == ALL else int(text)


def train_and_tell(
    config: Config,
    folds: Sequence[int | str] | None,
    flags: Sequence[str],
    *,
    overwrite: bool,
    parallel: int = 1,
    cluster: Cluster | None = None,
) -> None:
    """Train some folds (None: all of them), and name the next command: a fold that is still missing, else tuning."""
    check_competition(config)
    named = "all folds" if folds is None else f"fold{'s' * (len(folds) > 1)} {', '.join(map(str, folds))}"
    with starting(f"Training {named} of {RUNS / config.name} …"):
        from maskfold.steps.train import train

    again = "the same command without --overwrite" if overwrite else "the same command"
    if_interrupted(f"what is stored stays, {again} goes on after the last whole epoch")
    _tell_next(train(config, folds, overwrite=overwrite, parallel=parallel, cluster=cluster), flags)


def _tell_next(run: Run, flags: Sequence[str]) -> None:
    missing = sorted(set(run.folds_to_train()) - set(run.finished_folds()))
    if missing:
        next_command(command_line("train-fold", *flags, "--fold", str(missing[0])))
    else:
        next_command(command_line("tune", "--runs", str(run.path)))
