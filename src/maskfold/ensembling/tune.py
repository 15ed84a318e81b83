"""Choosing checkpoints, weights and decoding on out-of-fold predictions.

The choices are walked over one after the other, the earlier ones fixed: the checkpoint of each run, the weights of the
runs, then every value of the decoding chain. All of them are cross-fitted, see `maskfold.ensembling.crossfit`. What
does not score higher so than the config's own settings is not kept.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from itertools import product

import numpy as np

from maskfold.competitions import Competition
from maskfold.config import Config
from maskfold.ensembling.choice import EnsembleChoice, RunChoice
from maskfold.ensembling.crossfit import Coordinate, Part, cross_fitted, walk
from maskfold.ensembling.finished import finished_folds
from maskfold.ensembling.oof import OofImage, candidate_table, groups_of, oof_images
from maskfold.ensembling.settings import Scorer, Setting
from maskfold.ensembling.submit import default_choice, refuse_without_presence
from maskfold.inference.decoding import Tunable, build_chain, tunable_values
from maskfold.labels import LabelSpec
from maskfold.runs import Run

# Where only one fold is finished its images are split into this many parts.
PARTS_OF_ONE_FOLD = 5


def tune(runs: Sequence[Run], competition: Competition, config: Config) -> EnsembleChoice:
    """Choose the ensemble of one or several runs.

    Args:
        runs: the runs.
        competition: theirs.
        config: the first run's, with the command line's changes. ``tta`` is how the maps are made that prediction
            will use; the out-of-fold maps are made likewise, and computed where they are missing. ``inference`` and
            ``post`` are where tuning starts, and what wins a tie.

    Returns:
        What to predict with. ``scores`` holds the out-of-fold score ``before``, of the config's own settings, and
        ``after``, of tuning, cross-fitted. Unless the second is higher, the config's own settings are the choice.

    Raises:
        InferenceError: no finished folds, or runs whose finished folds do not validate the same images.
        RunError: damaged files, a run without the config's checkpoint.
        ConfigError: ``tune.tried`` does not fit the decoding chain, or that asks for a presence that no run predicts.
    """
    configured = default_choice(runs, config)
    refuse_without_presence(configured, competition)
    start = Setting.of(configured)
    presence = any(run.config.model.presence for run in runs)
    values = tunable_values(config.post, competition.labels, config.tune.tried, presence=presence)
    wanted = [wanted_checkpoints(run, own, config) for run, own in zip(runs, start.checkpoints, strict=True)]
    tta, batch_size = [config.tta] * len(runs), config.inference.batch_size
    images = oof_images(runs, wanted, competition, tta, batch_size=batch_size)
    parts = parts_of(images, groups_of(competition, [image.id for image in images], runs[0].config.folds))
    scorer = Scorer(images, competition)
    score = competition.metric.score
    coordinates = [
        replace(coordinate, options=partial(_with_presence, coordinate.options, runs, competition.labels))
        for coordinate in coordinates_of(runs, config, values)
    ]
    walked = walk(start, coordinates, parts, scorer, score)
    before, after = float(score(scorer.stats(start))), float(score(cross_fitted(walked, parts, scorer)))
    chosen = walked.chosen if after > before else start
    return configured.model_copy(
        update={
            "runs": [
                RunChoice(run=str(run.path), checkpoint=checkpoint, weight=weight)
                for run, checkpoint, weight in zip(runs, chosen.checkpoints, chosen.weights, strict=True)
            ],
            "post": chosen.post,
            "metric": competition.metric.name,
            "scores": {"before": before, "after": after},
            "hashes": _hashes(runs, chosen.checkpoints),
        }
    )


def coordinates_of(runs: Sequence[Run], config: Config, values: Sequence[Tunable]) -> list[Coordinate[Setting]]:
    """What is chosen, in order: the checkpoint of each run, the weights, every value of the decoding chain."""
    checkpoints = [
        Coordinate(f"checkpoint of {run.name}", partial(_checkpoints, run, place, config))
        for place, run in enumerate(runs)
    ]
    weights = [Coordinate("weights", _weights)] if len(runs) > 1 else []
    decoding = [Coordinate(value.name, partial(_moves, value), ordered=True) for value in values]
    return [*checkpoints, *weights, *decoding]


def wanted_checkpoints(run: Run, configured: str, config: Config) -> list[str]:
    """Every checkpoint of a run that any part's walk may look at, the configured one first."""
    folds = finished_folds(run)
    ranked = [ranked_checkpoints(run, part, config) for part in [None, *(folds if len(folds) > 1 else [])]]
    return list(dict.fromkeys([configured, *(name for names in ranked for name in names)]))


def ranked_checkpoints(run: Run, part: Part, config: Config) -> list[str]:
    """The best ``tune.checkpoints`` of training's own scores, those of the fold ``part`` left out.

    Of one finished fold these scores are all there is: which checkpoints are compared is then not cross-fitted, only
    which one of them is chosen.
    """
    table = candidate_table(run)
    others = table.drop(columns=[fold for fold in table if fold == part and len(table.columns) > 1])
    means = others.mean(axis=1).sort_values(ascending=False, kind="stable", na_position="last")
    return list(means.index[: config.tune.checkpoints])


def weightings(runs: int) -> list[tuple[float, ...]]:
    """Weights tried: for up to three runs all multiples of 1/4 that sum to 1, and equal ones always."""
    equal = (1 / runs,) * runs
    if runs == 1 or runs > 3:
        return [equal]
    steps = [w for w in product(range(5), repeat=runs) if sum(w) == 4]
    found = [tuple(step / 4 for step in w) for w in steps]
    return [equal, *(w for w in found if w != equal)]


def parts_of(images: Sequence[OofImage], groups: Sequence[str] | None) -> np.ndarray:
    """(n,) part of each image: its fold; of one fold only, five parts that keep the images of a group together."""
    folds = np.array([image.fold for image in images])
    if len(np.unique(folds)) > 1:
        return folds
    labels = [image.id for image in images] if groups is None else list(groups)
    names, codes = np.unique(np.array(labels, dtype=str), return_inverse=True)
    return (np.random.default_rng(0).permutation(len(names)) % PARTS_OF_ONE_FOLD)[codes]


def _checkpoints(run: Run, place: int, config: Config, now: Setting, part: Part) -> list[Setting]:
    several = len(run.finished_folds()) > 1
    found = ranked_checkpoints(run, part if several else None, config)
    names = [(*now.checkpoints[:place], name, *now.checkpoints[place + 1 :]) for name in found]
    return [Setting(each, now.weights, now.post) for each in names]


def _weights(now: Setting, part: Part) -> list[Setting]:
    return [Setting(now.checkpoints, weights, now.post) for weights in weightings(len(now.weights))]


def _moves(value: Tunable, now: Setting, part: Part) -> list[Setting]:
    return [Setting(now.checkpoints, now.weights, value.moved(now.post, tried)) for tried in value.tried]


def _with_presence(
    options: Callable[[Setting, Part], Sequence[Setting]],
    runs: Sequence[Run],
    labels: LabelSpec,
    now: Setting,
    part: Part,
) -> list[Setting]:
    """Those of the options under which a run that weighs something predicts the presence that the decoding asks for."""

    def possible(setting: Setting) -> bool:
        weighing = (run for run, weight in zip(runs, setting.weights, strict=True) if weight > 0)
        available = any(run.config.model.presence for run in weighing)
        return available or not build_chain(setting.post, labels).needs_presence

    return [setting for setting in options(now, part) if possible(setting)]


def _hashes(runs: Sequence[Run], checkpoints: Sequence[str]) -> dict[str, str | None]:
    return {
        str(run.fold(fold).checkpoint_path(name)): run.fold(fold).digest(name)
        for run, checkpoint in zip(runs, checkpoints, strict=True)
        for fold in finished_folds(run)
        for name in run.fold(fold).weights_of(checkpoint)
    }
