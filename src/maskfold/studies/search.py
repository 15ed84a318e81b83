"""The search of a study: Optuna chooses what is tried, an SQLite file remembers it, pruning ends what lags behind.

Sources: Bergstra et al., "Algorithms for Hyper-Parameter Optimization", NIPS 2011 (TPE); Akiba et al., "Optuna", KDD
2019; Golovin et al., "Google Vizier", KDD 2017 (the median rule).
"""

import gc
import hashlib
import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

import numpy as np

from maskfold.config import Config, changed_keys, config_yaml, override
from maskfold.config.load import changed_values, flatten
from maskfold.device import OUT_OF_MEMORY
from maskfold.errors import BusyError, ConfigError, MaskfoldError, StorageError, StudyError
from maskfold.files import write_file
from maskfold.locks import exclusive
from maskfold.parallel import Task, Work
from maskfold.runs import Run
from maskfold.runs.history import read_epochs
from maskfold.runs.run import FREE_KEYS
from maskfold.steps.competition import open_competition, with_root
from maskfold.studies.plan import Plan
from maskfold.studies.space import Range, Search
from maskfold.studies.study import WINNER
from maskfold.training import Callback, fit

DATABASE = "search.db"
MADE_WITH = "made_with"  # attribute of a search: what its trials have in common
WorkThrough = Callable[[Work, Iterable[Task]], None]  # calls the work with each task, and waits until all are done

if TYPE_CHECKING:
    import optuna

    from maskfold.training.session import Session


def search(plan: Plan, workers: WorkThrough) -> dict[str, Any]:
    """Make the trials that are missing, write the best one's config as ``winner.yaml``, and return its options.

    Trials stay in ``search.db`` and ``trials/``. One that was interrupted goes on where it stopped; with one process
    the search then ends as if it had not been.

    Raises:
        StudyError: optuna is not installed, the trials so far were made with other options, or none got to its end.
        ConfigError: a key or a value of the space does not fit.
        BusyError, StorageError: the search or a trial goes on elsewhere, or a trial cannot be stored: later the same
            call goes on with it.
    """
    asked = _asked(plan)
    _refuse_what_does_not_fit(plan, asked)
    config = with_root(plan.common, open_competition(plan.common))
    study = _open(plan)
    _refuse_other_trials(study, plan)
    database = plan.folder / DATABASE
    with exclusive(
        plan.folder / f".{DATABASE}.lock", database, advice="wait for it; --parallel makes several trials at a time"
    ):
        _resume_interrupted(study)
        if not study.trials and (default := _default(plan, asked)) is not None:
            study.enqueue_trial(default)
        numbers = range(_ended(study), asked.trials)
        workers(_trial, [(plan, config.competition.root, number) for number in numbers])
    if not study.get_trials(states=[_optuna().trial.TrialState.COMPLETE]):  # pruned ones have values, too
        raise StudyError(f"none of {_ended(study)} trials of the search finished, for the reasons above")
    options = _options(study.best_trial.params)
    winner = override(plan.common, {**options, "name": f"{plan.folder.name}_{WINNER}"})
    write_file(plan.folder / f"{WINNER}.yaml", config_yaml(winner))
    told = ", ".join(f"{key} {value}" for key, value in options.items())
    print(f"Best of {_ended(study)} trials: {told} ({study.best_value:.4f}). Config: {plan.folder / WINNER}.yaml")
    return options


def trials_ended(plan: Plan) -> int:
    """Trials that were made so far."""
    return _ended(_open(plan)) if (plan.folder / DATABASE).exists() else 0


class Pruning(Callback):
    """Reports validation scores to a trial, and ends the training by an exception where it lags behind.

    Args:
        trial: of Optuna.
        first: step of the epoch before this fold's first one.
        prune: whether to end anything.
    """

    def __init__(self, trial: "optuna.Trial", first: int, *, prune: bool) -> None:
        self.trial, self.first, self.prune = trial, first, prune
        self._reported: set[int] = set()

    def on_epoch(self, session: "Session") -> None:
        """Ask before every epoch."""
        self.report(session.history)
        if self.prune and session.epoch and self.trial.should_prune():
            raise _optuna().TrialPruned(f"after epoch {session.epoch}")

    def report(self, history: Sequence[Mapping[str, Any]]) -> None:
        """Tell the trial those scores, best so far, that it does not know yet."""
        for row in history:
            epoch, best = int(row["epoch"]), row["best"]
            if best is not None and best == best and epoch not in self._reported:
                self.trial.report(float(best), self.first + epoch)
                self._reported.add(epoch)


def _trial(plan: Plan, root: Path, number: int) -> None:
    """One trial, in whatever process: ask, train the folds, tell."""
    asked, study = _asked(plan), _open(plan)
    # Seeded by its number, a trial needs nothing of a sampler that an interrupted process took along.
    seed = int(np.random.SeedSequence((asked.seed, number)).generate_state(1)[0])
    study.sampler = _optuna().samplers.TPESampler(seed=seed, n_startup_trials=_startup(asked))
    trial = study.ask()
    options = _options({key: _suggest(trial, key, tried) for key, tried in asked.space.items()})
    said = f"trial {number + 1} of {asked.trials}: " + ", ".join(f"{key} {value}" for key, value in options.items())
    try:
        score = _train(plan, root, options, trial)
    except _optuna().TrialPruned as pruned:
        study.tell(trial, state=_optuna().trial.TrialState.PRUNED)
        print(f"{said}: pruned {pruned}", flush=True)
    except (BusyError, StorageError):
        raise  # it says nothing of the options: the trial stays interrupted, and is not used up
    except (MaskfoldError, *OUT_OF_MEMORY) as error:
        # Not "failed": that is what interrupted trials are, which do not count.
        study.tell(trial, state=_optuna().trial.TrialState.PRUNED)
        print(f"{said}: {error}", flush=True)
    else:
        study.tell(trial, score)
        print(f"{said}: {score:.4f}, best so far {study.best_value:.4f}", flush=True)
    gc.collect()  # of a training that an exception ended, too


def _train(plan: Plan, root: Path, options: Mapping[str, Any], trial: "optuna.Trial") -> float:
    """Mean validation score of the search's folds; equal options share a folder, so that a training goes on."""
    asked, digest = _asked(plan), hashlib.sha256(json.dumps(options, sort_keys=True).encode()).hexdigest()[:12]
    named = {"name": f"trial_{digest}", "seed": plan.study.seeds[0], "competition.root": str(root)}
    run = Run(plan.folder / "trials" / f"trial_{digest}")
    run.adopt(override(plan.common, {**options, **named}))
    scores = []
    for place, fold in enumerate(asked.folds):
        pruning = Pruning(trial, place * _epochs(run.config), prune=asked.prune)
        if not run.fold(fold).finished():
            fit(run, fold, [pruning])
        pruning.report(read_epochs(run.fold(fold)).to_dict("records"))
        scores.append(run.fold(fold).summary()["score"])
    if math.isnan(mean := fmean(scores)):
        raise StudyError(f"no score: nothing in the images of folds {list(asked.folds)} counts for the metric")
    return mean


def _epochs(config: Config) -> int:
    if config.train.epochs is None:
        raise ConfigError("a search needs train.epochs: train.iterations is set")
    return config.train.epochs


def _asked(plan: Plan) -> Search:
    assert plan.study.search is not None
    return plan.study.search


def _refuse_what_does_not_fit(plan: Plan, asked: Search) -> None:
    """Try both ends of every range and every choice on the config."""
    _epochs(plan.common)
    for key, tried in asked.space.items():
        for value in (tried.low, tried.high) if isinstance(tried, Range) else tried:
            try:
                override(plan.common, {key: value})
            except ConfigError as error:
                raise ConfigError(f"search.space: {error}") from None


def _refuse_other_trials(study: "optuna.Study", plan: Plan) -> None:
    """Trials can be ranked only with those of the same config, folds and space; only their number may grow."""
    tree = flatten(plan.common.model_dump(mode="json"))
    common = {key: value for key, value in tree if key not in FREE_KEYS}
    now = {**common, **dict(flatten({"search": _asked(plan).model_dump(mode="json", exclude={"trials"})}))}
    if MADE_WITH not in study.user_attrs:
        study.set_user_attr(MADE_WITH, now)
    elif changes := changed_values(study.user_attrs[MADE_WITH], now):
        raise StudyError(
            f"the trials in {plan.folder / DATABASE} were made otherwise ({'; '.join(changes)}): undo that, or give "
            "another --name"
        )


def _default(plan: Plan, asked: Search) -> dict[str, Any] | None:
    """The config's own values, as Optuna knows them, where they are in the space: tried first."""
    tree, found = plan.common.model_dump(mode="json"), {}
    for key, tried in asked.space.items():
        value: Any = tree
        for part in key.split("."):
            value = value.get(part) if isinstance(value, dict) else None
        if isinstance(tried, Range):
            if not isinstance(value, int | float) or not tried.low <= value <= tried.high:
                return None
            found[key] = value
        elif own := [each for each in tried if not changed_keys(plan.common, override(plan.common, {key: each}))]:
            found[key] = json.dumps(own[0])
        else:
            return None
    return found


def _suggest(trial: "optuna.Trial", key: str, tried: Range | tuple[Any, ...]) -> Any:
    if not isinstance(tried, Range):
        return trial.suggest_categorical(key, [json.dumps(choice) for choice in tried])
    if tried.whole:
        return trial.suggest_int(key, int(tried.low), int(tried.high), log=tried.log)
    return trial.suggest_float(key, tried.low, tried.high, log=tried.log)


def _options(params: Mapping[str, Any]) -> dict[str, Any]:
    """The options that Optuna's values stand for: choices are JSON, as it keeps no lists; of numbers three digits."""
    found = {key: json.loads(value) if isinstance(value, str) else value for key, value in params.items()}
    return {key: float(f"{value:.3g}") if isinstance(value, float) else value for key, value in found.items()}


def _open(plan: Plan) -> "optuna.Study":
    """The trials so far, in ``search.db``."""
    optuna, asked = _optuna(), _asked(plan)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    plan.folder.mkdir(parents=True, exist_ok=True)
    warm = max(1, _epochs(plan.common) // 3)
    return optuna.create_study(
        study_name=plan.folder.name,
        storage=f"sqlite:///{(plan.folder / DATABASE).resolve()}",
        direction="maximize",
        pruner=optuna.pruners.MedianPruner(n_startup_trials=_startup(asked) // 2, n_warmup_steps=warm),
        load_if_exists=True,
    )


def _startup(asked: Search) -> int:
    """Trials that are drawn at random before the search learns from them."""
    return max(1, min(10, asked.trials // 3))


def _ended(study: "optuna.Study") -> int:
    state = _optuna().trial.TrialState
    return len(study.get_trials(states=(state.COMPLETE, state.PRUNED)))


def _resume_interrupted(study: "optuna.Study") -> None:
    """Trials that a killed process left begin again, with the same options and so where their training stopped."""
    state = _optuna().trial.TrialState
    for trial in study.get_trials(states=(state.RUNNING,)):
        study.tell(trial.number, state=state.FAIL)
        if trial.params:
            study.enqueue_trial(trial.params)


def _optuna() -> Any:
    try:
        import optuna
    except ImportError:
        raise StudyError(
            "a study with a search needs optuna: pip install 'maskfold[search]', or leave out its search section"
        ) from None
    return optuna
