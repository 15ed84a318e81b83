"""Training of folds, one after the other."""

from collections.abc import Sequence
from typing import Any

from maskfold.config import Config
from maskfold.runs import Run
from maskfold.steps.competition import open_competition, with_root
from maskfold.steps.places import RUNS
from maskfold.training import fit, processes


def train(
    config: Config | Run, folds: int | str | Sequence[int | str] | None = None, *, overwrite: bool = False
) -> Run:
    """Train one fold or some, and print how each ended; what was interrupted goes on, what is finished stays.

    Args:
        config: an experiment, see `maskfold.load_config`, or a run that was begun.
        folds: a fold number, ``"all"`` (every image, nothing is validated), several of them, or None: all folds of
            the run.
        overwrite: train these folds from the start, and remove what is there of them.

    Returns:
        The run, in ``runs/NAME/``.

    Raises:
        MaskfoldError: see its message: data, config or run do not fit, or the loss is no longer a number.
    """
    run = config if isinstance(config, Run) else Run(RUNS / config.name)
    config = config.config if isinstance(config, Run) else config
    asked = [folds] if isinstance(folds, int | str) else folds
    with processes().main_process_first():
        config = with_root(config, open_competition(config))
        if overwrite and processes().is_main_process:  # the main process goes first
            run.restart(asked if asked is not None else run.begun_folds(), config)
        run.adopt(config)
        numbers = sorted(set(run.folds()["fold"]))
    for fold in asked if asked is not None else numbers:
        if run.fold(fold).finished() and not run.fold(fold).may_continue(config.train.max_hours):
            score = _score(run.fold(fold).summary())
            print(f"fold {fold} of {run.path} is trained ({score}): --overwrite trains it again")
            continue
        summary = fit(run, fold)
        print(f"fold {fold} of {run.path} done: {_score(summary)}")
    processes().destroy_process_group()
    return run


def _score(summary: dict[str, Any]) -> str:
    if "score" not in summary:
        return "no validation images"
    return f"{summary['metric']} {summary['score']:.4f} with {summary['best_checkpoint']}"
