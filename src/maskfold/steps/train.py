"""Training of folds, one after the other."""

from collections.abc import Collection, Sequence
from typing import Any

from maskfold.competitions import Competition
from maskfold.config import Config
from maskfold.runs import Run
from maskfold.steps.competition import open_competition, with_root
from maskfold.training import ensure_folds, fit, processes


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
    config = config.config if isinstance(config, Run) else config
    asked = [folds] if isinstance(folds, int | str) else folds
    with processes().main_process_first():
        competition = open_competition(config)
        config = with_root(config, competition)
        run = Run.create(config, overwrite=_forgotten(config, asked) if overwrite else [])
    for fold in asked if asked is not None else _fold_numbers(run, competition, config):
        if run.fold(fold).finished():
            score = _score(run.fold(fold).summary())
            print(f"fold {fold} of {run.path} is trained ({score}): --overwrite trains it again")
            continue
        summary = fit(config, competition, run, fold)
        print(f"fold {fold} of {run.path} done: {_score(summary)}")
    processes().destroy_process_group()
    return run


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
