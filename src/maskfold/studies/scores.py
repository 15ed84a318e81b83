"""Statistics of what a variant predicts, image by image; made once and kept beside the runs."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from maskfold.competitions import Competition
from maskfold.config import FoldsConfig, PostConfig
from maskfold.ensembling.choice import EnsembleChoice
from maskfold.ensembling.ensemble import refuse_without_presence
from maskfold.ensembling.oof import groups_of
from maskfold.ensembling.submit import default_choice, predict_samples, test_samples
from maskfold.files import atomic_path, file_digest
from maskfold.inference.decoding import build_chain
from maskfold.inference.predict import Prediction
from maskfold.labels import Label
from maskfold.progress import progress
from maskfold.runs import Run
from maskfold.scoring.evaluate import choice_images, refuse_other_images
from maskfold.studies.columns import Column, build_column, of_metric
from maskfold.studies.plan import Plan
from maskfold.studies.study import slug

STATS = "stats_"


@dataclass(frozen=True)
class Scores:
    """Statistics of one variant and seed.

    Attributes:
        ids: of the images: those that the study's folds validate or, where their truth is known, the test images.
        groups: a label of each image: its group's or, where groups are not known, its own id.
        stats: column -> float64 (n, k), a row per image; the competition's metric is the first column.
        out_of_fold: of test images: the metric's rows of the out-of-fold images; else None.
        fold_groups: their groups.
    """

    ids: list[str]
    groups: list[str]
    stats: dict[str, np.ndarray]
    out_of_fold: np.ndarray | None = None
    fold_groups: list[str] = field(default_factory=list)


def columns_of(plan: Plan) -> list[Column]:
    """The competition's metric, and the columns that the study asks for."""
    competition = plan.run(plan.trained[0], plan.study.seeds[0]).competition()
    first = of_metric(competition.metric, competition.metric.name)
    return [first, *(build_column(name, competition.labels) for name in plan.study.columns)]


def score(plan: Plan, name: str, seed: int) -> Scores:
    """The statistics of a variant, whose folds are trained: those that are known, or new ones."""
    found = known(plan, name, seed)
    if found is None:
        run, config, truth = plan.run(name, seed), plan.prediction_config(name, seed), plan.study.truth
        choice, columns, folds = default_choice([run], config), columns_of(plan), plan.folds(name)
        refuse_without_presence(choice, run.competition(), [run])
        look = partial(_statistics, run.competition(), config.post, plan.common.folds)
        valid = _out_of_fold(run, choice, folds, config.inference.batch_size)
        if truth is None:
            found = look(columns, valid)
        else:
            tests = _tests(run, choice, folds, config.inference.batch_size, truth)
            found, promised = look(columns, tests), look(columns[:1], valid)
            found = replace(found, out_of_fold=promised.stats[columns[0].name], fold_groups=promised.groups)
        _write(_path(plan, name, seed), _key(plan, name, seed), found)
    return found


def known(plan: Plan, name: str, seed: int) -> Scores | None:
    """Statistics that were made before of the same weights in the same way; None: there are none."""
    return _read(_path(plan, name, seed), _key(plan, name, seed))


def _path(plan: Plan, name: str, seed: int) -> Path:
    return plan.folder / "scores" / f"{slug(name)}_seed{seed}.npz"


def _out_of_fold(
    run: Run, choice: EnsembleChoice, folds: Sequence[int], batch_size: int
) -> Iterator[tuple[Prediction, Label]]:
    """What the folds predict of the images that they validate, and the truth."""
    competition = run.competition()
    images = choice_images(choice, [run], competition, folds=folds, batch_size=batch_size)
    for image in progress(images, f"{run.name}: statistics", total=len(images)):
        yield image.prediction(choice.mix, competition), image.truth(competition)


def _tests(
    run: Run, choice: EnsembleChoice, folds: Sequence[int], batch_size: int, truth: str
) -> Iterator[tuple[Prediction, Label]]:
    """What the folds together predict of the test images, and the truth."""
    competition = run.competition()
    samples, masks = test_samples(competition), competition.read_masks(competition.root / truth)
    refuse_other_images(samples.ids, masks, competition.root, competition.root / truth)
    predictions = predict_samples(choice, competition, samples, folds, batch_size=batch_size, runs=[run])
    for prediction in progress(predictions, f"{run.name}: test images", total=len(samples)):
        sample = samples.by_id[prediction.id]
        yield prediction, competition.scored_label(sample, masks=masks[prediction.id])


def _statistics(
    competition: Competition,
    post: PostConfig,
    groups: FoldsConfig,
    columns: Sequence[Column],
    pairs: Iterable[tuple[Prediction, Label]],
) -> Scores:
    """Decode every prediction, and take the statistics of each column."""
    ids = []
    decode = build_chain(post, competition.labels, competition.images)
    rows: dict[str, list[np.ndarray]] = {column.name: [] for column in columns}
    for prediction, truth in pairs:
        mask = decode(prediction)
        ids.append(prediction.id)
        for column in columns:
            rows[column.name].append(column.stats(prediction.probability, mask, truth))
    found = groups_of(competition, ids, groups) or ids
    stats = {column.name: column.together(ids, rows[column.name]) for column in columns}
    return Scores(ids, [str(group) for group in found], stats)


def _key(plan: Plan, name: str, seed: int) -> str:
    """Equal where statistics would be: of the same weights, predicted, decoded and looked at in the same way."""
    folds, config = plan.folds(name), plan.prediction_config(name, seed)
    of_folds = [plan.run(name, seed).fold(fold) for fold in folds]
    weights = [fold.digest(checkpoint) for fold in of_folds for checkpoint in fold.checkpoints()]
    sections = [getattr(config, section).model_dump(mode="json") for section in ("tta", "post")]
    competition, truth = plan.run(name, seed).competition(), plan.study.truth
    judged = [
        competition.profile.metric.model_dump(mode="json"),
        plan.study.columns,
        None if truth is None else file_digest(competition.root / truth),
    ]
    told = json.dumps([weights, sections, config.inference.checkpoint, folds, judged])
    return hashlib.sha256(told.encode()).hexdigest()


def _read(path: Path, key: str) -> Scores | None:
    """What `_write` wrote under this key; None where there is nothing, or something else."""
    try:
        with np.load(path, allow_pickle=False) as found:
            if str(found["key"]) != key:
                return None
            stats = {name.removeprefix(STATS): found[name] for name in found.files if name.startswith(STATS)}
            valid = found["out_of_fold"] if "out_of_fold" in found.files else None
            lists = [found[name].tolist() for name in ("ids", "groups", "fold_groups")]
            return Scores(lists[0], lists[1], stats, valid, lists[2])
    except (OSError, ValueError, KeyError):
        return None


def _write(path: Path, key: str, scores: Scores) -> None:
    arrays: dict[str, Any] = {f"{STATS}{name}": rows for name, rows in scores.stats.items()}
    arrays |= {name: np.array(getattr(scores, name), str) for name in ("ids", "groups", "fold_groups")}
    if scores.out_of_fold is not None:
        arrays["out_of_fold"] = scores.out_of_fold
    with atomic_path(path) as temporary:
        np.savez_compressed(temporary, key=np.array(key), **arrays)
