"""Choosing checkpoints, weights and decoding on out-of-fold predictions.

The choices are walked over one after the other, the earlier ones fixed: the checkpoint of each run, the weights of the
runs and, where the config asks for it, those of views and a stack of the runs, then every value of the decoding chain.
All of them are cross-fitted, see `maskfold.ensembling.crossfit`. A choice whose gain may be chance, or is one fold's
alone, is refused, see `maskfold.ensembling.traps`; what does not score higher than the config's own settings is not
kept.

A decoding step that the config may leave out (``post.crf``) has to earn its place: the chain is walked over with it and
without it, from the same checkpoints and weights, and it stays only if its walk scores higher.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from maskfold.cluster import Cluster
from maskfold.competitions import Competition
from maskfold.config import Config
from maskfold.ensembling.choice import EnsembleChoice, Refused, RunChoice
from maskfold.ensembling.crossfit import Coordinate, Held, Walked, cross_fitted, walk
from maskfold.ensembling.ensemble import predicts_presence, refuse_without_presence
from maskfold.ensembling.finished import finished_folds, weight_hashes
from maskfold.ensembling.oof import OofImage, candidate_table, groups_of, oof_images
from maskfold.ensembling.settings import Scorer, Setting
from maskfold.ensembling.stacking import Stacking
from maskfold.ensembling.submit import default_choice
from maskfold.ensembling.traps import Trial
from maskfold.ensembling.view_weights import check_views, view_coordinates, weighing, with_views
from maskfold.ensembling.weightings import MOST_ON_GRID, weightings, with_share
from maskfold.inference.decoding import Tunable, build_chain, tunable_values, with_and_without
from maskfold.runs import Run

# Where only one fold is finished its images are split into this many parts.
PARTS_OF_ONE_FOLD = 5


def tune(
    runs: Sequence[Run], competition: Competition, config: Config, *, cluster: Cluster | None = None
) -> EnsembleChoice:
    """Choose the ensemble of one or several runs.

    Args:
        runs: the runs.
        competition: theirs.
        config: the first run's, with the command line's changes. ``tta`` is how the maps are made that prediction
            will use; the out-of-fold maps are made likewise, and computed where they are missing. ``inference`` and
            ``post`` are where tuning starts, and what wins a tie.
        cluster: compute missing maps on a Ray cluster.

    Returns:
        What to predict with. ``scores`` holds the out-of-fold score ``before``, of the config's own settings, and
        ``after``, of tuning, cross-fitted. Unless the second is higher, the config's own settings are the choice,
        without those steps that may be left out and without which they score as high.

    Raises:
        InferenceError: no finished folds, or runs whose finished folds do not validate the same images.
        RunError: damaged files, a run without the config's checkpoint.
        ConfigError: ``tune.tried`` does not fit the decoding chain, or that asks for a presence that no run predicts;
            as `check_views` where weights of views are to be found.
    """
    configured = default_choice(runs, config)
    refuse_without_presence(configured, competition, runs)
    if config.tune.views:
        check_views(config.tta)
    start = Setting.of(configured)
    posts = with_and_without(config.post)
    presence = any(run.config.model.presence for run in runs)
    values = [tunable_values(post, competition.labels, config.tune.tried, presence=presence) for post in posts]
    possible = partial(_with_presence, runs, competition)
    wanted = [wanted_checkpoints(run, own, config) for run, own in zip(runs, start.checkpoints, strict=True)]
    tta, batch_size = [config.tta] * len(runs), config.inference.batch_size
    images = oof_images(runs, wanted, competition, tta, batch_size=batch_size, cluster=cluster)
    groups = groups_of(competition, [image.id for image in images], runs[0].config.folds)
    parts = parts_of(images, groups)
    scorer, trial = Scorer(images, competition), Trial(competition.metric, parts, groups)
    shared = _walked(replace(start, post=posts[0]), possible(run_coordinates(runs, config)), scorer, trial)
    if config.tune.views:
        scorer.images = with_views(images, runs, shared, competition, config, cluster=cluster)
        shared = _walked(shared, view_coordinates(config.tta), scorer, trial)
    if config.tune.stacking:
        stacking = Stacking(scorer.images, parts, competition)
        shared = _walked(shared, [Coordinate("stacking", stacking)], scorer, trial)
    found = [
        candidate
        for post, tunables in zip(posts, values, strict=True)
        for candidate in _candidates(
            replace(start, post=post), possible(decoding_coordinates(tunables)), shared, scorer, trial
        )
    ]
    before, others = found[-2].score, [*found[:-2], found[-1]]
    # Of equal ones the first: with fewer steps, and as the config has it.
    chosen = max(found, key=lambda each: each.score).setting
    after = max(other.score for other in others)
    return configured.model_copy(
        update={
            **_decided(runs, config, chosen),
            "metric": competition.metric.name,
            "scores": {"before": before, "after": after},
            "refused": found[-1].refused,
        }
    )


def _decided(runs: Sequence[Run], config: Config, chosen: Setting) -> dict[str, Any]:
    """What prediction reads of a setting."""
    return {
        "runs": [
            RunChoice(run=str(run.path), checkpoint=checkpoint, weight=weight)
            for run, checkpoint, weight in zip(runs, chosen.checkpoints, chosen.weights, strict=True)
        ],
        "tta": weighing(config.tta, chosen.views),
        "post": chosen.post,
        "stack": chosen.stack,
        "hashes": _hashes(runs, chosen.checkpoints),
    }


def run_coordinates(runs: Sequence[Run], config: Config) -> list[Coordinate[Setting]]:
    """What is chosen of the runs, in order: the checkpoint of each, and the weights."""
    checkpoints = [
        Coordinate(f"checkpoint of {run.name}", partial(_checkpoints, run, place, config))
        for place, run in enumerate(runs)
    ]
    if len(runs) > MOST_ON_GRID:
        each = [Coordinate(f"weight of {run.name}", partial(_weight, place)) for place, run in enumerate(runs)]
        return [*checkpoints, *each]
    return [*checkpoints, *([Coordinate("weights", _weights)] if len(runs) > 1 else [])]


def decoding_coordinates(values: Sequence[Tunable]) -> list[Coordinate[Setting]]:
    """Every value of a decoding chain, in order."""
    return [Coordinate(value.name, partial(_moves, value), ordered=True) for value in values]


def wanted_checkpoints(run: Run, configured: str, config: Config) -> list[str]:
    """Every checkpoint of a run that any part's walk may look at, the configured one first."""
    ranked = [ranked_checkpoints(run, held, config) for held in [None, *finished_folds(run)]]
    return list(dict.fromkeys([configured, *(name for names in ranked for name in names)]))


def ranked_checkpoints(run: Run, held: Held, config: Config) -> list[str]:
    """The best ``tune.checkpoints`` of training's own scores, those of the fold ``held`` left out.

    Of one finished fold these scores are all there is: which checkpoints are compared is then not cross-fitted, only
    which one of them is chosen.
    """
    table = candidate_table(run)
    others = table.drop(columns=[fold for fold in table if fold == held and len(table.columns) > 1])
    means = others.mean(axis=1).sort_values(ascending=False, kind="stable", na_position="last")
    return list(means.index[: config.tune.checkpoints])


def parts_of(images: Sequence[OofImage], groups: Sequence[str] | None) -> np.ndarray:
    """(n,) part of each image: its fold; of one fold only, five parts that keep the images of a group together."""
    folds = np.array([image.fold for image in images])
    if len(np.unique(folds)) > 1:
        return folds
    labels = [image.id for image in images] if groups is None else list(groups)
    names, codes = np.unique(np.array(labels, dtype=str), return_inverse=True)
    return (np.random.default_rng(0).permutation(len(names)) % PARTS_OF_ONE_FOLD)[codes]


def _checkpoints(run: Run, place: int, config: Config, now: Setting, held: Held) -> list[Setting]:
    found = ranked_checkpoints(run, held, config)
    names = [(*now.checkpoints[:place], name, *now.checkpoints[place + 1 :]) for name in found]
    return [replace(now, checkpoints=each) for each in names]


def _weights(now: Setting, held: Held) -> list[Setting]:
    return [replace(now, weights=weights) for weights in weightings(len(now.weights))]


def _weight(place: int, now: Setting, held: Held) -> list[Setting]:
    return [replace(now, weights=weights) for weights in with_share(now.weights, place)]


def _walked(
    start: Setting | Walked[Setting], coordinates: Sequence[Coordinate[Setting]], scorer: Scorer, trial: Trial
) -> Walked[Setting]:
    return walk(start, coordinates, trial.parts, scorer, scorer.metric.score, trial)


def _candidates(
    plain: Setting,
    coordinates: Sequence[Coordinate[Setting]],
    shared: Walked[Setting],
    scorer: Scorer,
    trial: Trial,
) -> list["_Candidate"]:
    """The config with some of its decoding steps, and the walk with them, cross-fitted."""
    score = scorer.metric.score
    walked = _walked(shared.changed(lambda setting: replace(setting, post=plain.post)), coordinates, scorer, trial)
    own, tuned = scorer.stats(plain), cross_fitted(walked, trial.parts, scorer)
    return [
        _Candidate(float(score(own)), plain),
        _Candidate(float(score(tuned)), walked.chosen, walked.refused),
    ]


class _Candidate(NamedTuple):
    """A setting, its score, and what was refused on the way to it."""

    score: float
    setting: Setting
    refused: tuple[Refused, ...] = ()


def _moves(value: Tunable, now: Setting, held: Held) -> list[Setting]:
    return [replace(now, post=value.moved(now.post, tried)) for tried in value.tried]


def _with_presence(
    runs: Sequence[Run], competition: Competition, coordinates: Sequence[Coordinate[Setting]]
) -> list[Coordinate[Setting]]:
    """The same without options whose decoding asks for a presence that no run predicts that weighs something."""

    def possible(setting: Setting) -> bool:
        chain = build_chain(setting.post, competition.labels, competition.images)
        return not chain.needs_presence or predicts_presence(runs, setting.weights)

    def options(coordinate: Coordinate[Setting], now: Setting, held: Held) -> list[Setting]:
        return [setting for setting in coordinate.options(now, held) if possible(setting)]

    return [replace(coordinate, options=partial(options, coordinate)) for coordinate in coordinates]


def _hashes(runs: Sequence[Run], checkpoints: Sequence[str]) -> dict[str, str | None]:
    parts = zip(runs, checkpoints, strict=True)
    found = (weight_hashes(run, name, finished_folds(run)) for run, name in parts)
    return {path: digest for hashes in found for path, digest in hashes.items()}
