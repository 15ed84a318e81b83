"""Training of folds, one after the other or side by side."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from maskfold.cluster import Cluster, workers_of
from maskfold.config import Config
from maskfold.ensembling.finished import OPTIMISTIC, refuse_repeated_folds
from maskfold.errors import ConfigError
from maskfold.runs import Run
from maskfold.steps.competition import open_competition, with_root
from maskfold.steps.places import RUNS
from maskfold.steps.settle import settle
from maskfold.training import fit, processes


def train(
    config: Config | Run,
    folds: int | str | Sequence[int | str] | None = None,
    *,
    overwrite: bool = False,
    parallel: int = 1,
    cluster: Cluster | None = None,
) -> Run:
    """Train one fold or some, and print how each ended; what was interrupted goes on, what is finished stays.

    Args:
        config: an experiment, see `maskfold.load_config`, or a run that was begun.
        folds: a fold number, ``"all"`` (every image, nothing is validated), several of them, or None: all folds of
            the run, or as many as ``folds.trained`` says.
        overwrite: train these folds from the start, and remove what is there of them.
        parallel: folds that are trained at a time, each in a process of its own. They share the cores, or have a GPU
            each. With other numbers of threads the last bits differ.
        cluster: train on a Ray cluster, as many folds at a time as it has room for, each with ``cluster.together``
            processes; a machine that goes costs the unfinished epochs of its folds.

    Returns:
        The run, in ``runs/NAME/``.

    Raises:
        MaskfoldError: see its message: data, config or run do not fit, or the loss is no longer a number.
    """
    run = config if isinstance(config, Run) else Run(RUNS / config.name)
    config = config.config if isinstance(config, Run) else config
    asked = [folds] if isinstance(folds, int | str) else folds
    refuse_repeated_folds(asked or ())
    with processes().main_process_first():
        config = with_root(config, open_competition(config))
        staying = run.begun_folds() - set(map(str, run.begun_folds() if asked is None else asked) if overwrite else ())
        config = settle(
            config,
            known=run.config if staying else None,
            folds=config.folds.to_train if asked is None else len(asked),
            alone=cluster is None and processes().num_processes == 1,
        )
        if overwrite and processes().is_main_process:  # the main process goes first
            run.restart(asked if asked is not None else run.begun_folds(), config)
        run.adopt(config)
        numbers = run.folds_to_train()
    asked = numbers if asked is None else asked
    if cluster is None and (parallel == 1 or len(asked) == 1):
        for fold in asked:
            _train_fold(run, fold)
    elif processes().num_processes > 1:
        raise ConfigError(
            "torchrun's processes train one fold together: leave out --parallel and --engine, or torchrun"
        )
    else:
        with workers_of(cluster, min(parallel, len(asked))) as workers:
            workers(_train_fold_of, [(run.path, fold) for fold in asked])
    processes().destroy_process_group()
    return run


def _train_fold_of(path: Path, fold: int | str) -> None:
    _train_fold(Run.open(path), fold)
    processes().destroy_process_group()


def _train_fold(run: Run, fold: int | str) -> None:
    """Train what is missing of a fold, and print how it ended."""
    if run.fold(fold).finished() and not run.fold(fold).may_continue(run.config.train.max_hours):
        score = score_of(run.fold(fold).summary())
        print(f"fold {fold} of {run.path} is trained ({score}): --overwrite trains it again", flush=True)
        return
    summary = fit(run, fold)
    print(f"fold {fold} of {run.path} done: {score_of(summary)}", flush=True)


def score_of(summary: dict[str, Any]) -> str:
    """What a trained fold scores, and with which checkpoint."""
    if "score" not in summary:
        return "no validation images"
    note = OPTIMISTIC if summary.get("optimistic") else ""
    return f"{summary['metric']} {summary['score']:.4f} with {summary['best_checkpoint']}{note}"
