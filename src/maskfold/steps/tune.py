"""Tuning of an ensemble on out-of-fold predictions."""

from collections.abc import Mapping, Sequence
from typing import Any

from maskfold.config import override
from maskfold.ensembling.choice import EnsembleChoice, write_ensemble
from maskfold.ensembling.tune import tune as choose_ensemble
from maskfold.runs import Run
from maskfold.steps.competition import open_competition
from maskfold.steps.places import as_runs, ensemble_run


def tune(runs: Run | Sequence[Run], *, overrides: Mapping[str, Any] | None = None) -> EnsembleChoice:
    """Choose the ensemble of one or several runs, and write it to ``ensemble.yaml`` where `predict` finds it.

    Args:
        overrides: dotted keys of the first run's config that tuning reads, such as ``{"inference.views": "d4"}``.

    Raises:
        InferenceError: no finished folds, or runs whose finished folds do not validate the same images.
        RunError: damaged files.
    """
    runs = as_runs(runs)
    config = override(runs[0].config, overrides or {})
    choice = choose_ensemble(runs, open_competition(config), config)
    write_ensemble(choice, ensemble_run(runs).ensemble_path)
    return choice
