"""Out-of-fold statistics of a variant's run, image by image; made once and kept beside the runs."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from maskfold.config import Config
from maskfold.ensembling.oof import groups_of
from maskfold.ensembling.submit import default_choice, refuse_without_presence
from maskfold.files import atomic_path
from maskfold.inference.decoding import build_chain
from maskfold.progress import progress
from maskfold.runs import Run
from maskfold.scoring.evaluate import choice_images
from maskfold.studies.columns import Column, build_column, of_metric
from maskfold.studies.plan import Plan
from maskfold.studies.study import slug


@dataclass(frozen=True)
class Scores:
    """Statistics of one variant and seed.

    Attributes:
        ids: of the images that the study's folds validate.
        groups: a label of each image: its group's or, where groups are not known, its own id.
        stats: column -> float64 (n, k), a row per image; the competition's metric is the first column.
    """

    ids: list[str]
    groups: list[str]
    stats: dict[str, np.ndarray]


def columns_of(plan: Plan) -> list[Column]:
    """The competition's metric, and the columns that the study asks for."""
    competition = plan.run(plan.trained[0], plan.study.seeds[0]).competition()
    first = of_metric(competition.metric, competition.metric.name)
    return [first, *(build_column(name, competition.labels) for name in plan.study.columns)]


def score(plan: Plan, name: str, seed: int) -> Scores:
    """The statistics of a variant, whose folds are trained: those that are known, or new ones."""
    found = known(plan, name, seed)
    if found is None:
        run, config = plan.run(name, seed), plan.prediction_config(name, seed)
        found = _look(run, config, plan.study.folds, columns_of(plan))
        _write(_path(plan, name, seed), _key(plan, name, seed), found)
    return found


def known(plan: Plan, name: str, seed: int) -> Scores | None:
    """Statistics that were made before of the same weights in the same way; None: there are none."""
    return _read(_path(plan, name, seed), _key(plan, name, seed))


def _path(plan: Plan, name: str, seed: int) -> Path:
    return plan.folder / "scores" / f"{slug(name)}_seed{seed}.npz"


def _look(run: Run, config: Config, folds: Sequence[int], columns: Sequence[Column]) -> Scores:
    """Decode every out-of-fold image as the config says, and take its statistics."""
    competition, choice = run.competition(), default_choice([run], config)
    refuse_without_presence(choice, competition, [run])
    images = choice_images(choice, competition, folds=folds, batch_size=config.inference.batch_size)
    decode = build_chain(choice.post, competition.labels, competition.images)
    rows: dict[str, list[np.ndarray]] = {column.name: [] for column in columns}
    for image in progress(images, f"{run.name}: statistics", total=len(images)):
        probability = image.probability(choice.checkpoints, choice.weights)
        truth = image.truth(competition)
        mask = decode(image.prediction(probability, choice.checkpoints, choice.weights, competition))
        for column in columns:
            rows[column.name].append(column.stats(probability, mask, truth))
    ids = [image.id for image in images]
    groups = groups_of(competition, ids, run.config.folds) or ids
    stats = {column.name: column.together(ids, rows[column.name]) for column in columns}
    return Scores(ids, [str(group) for group in groups], stats)


def _key(plan: Plan, name: str, seed: int) -> str:
    """Equal where statistics would be: of the same weights, predicted, decoded and looked at in the same way."""
    folds, config = plan.study.folds, plan.prediction_config(name, seed)
    of_folds = [plan.run(name, seed).fold(fold) for fold in folds]
    weights = [fold.digest(checkpoint) for fold in of_folds for checkpoint in fold.checkpoints()]
    sections = [getattr(config, section).model_dump(mode="json") for section in ("tta", "post")]
    told = json.dumps([weights, sections, config.inference.checkpoint, folds, plan.study.columns])
    return hashlib.sha256(told.encode()).hexdigest()


def _read(path: Path, key: str) -> Scores | None:
    """What `_write` wrote under this key; None where there is nothing, or something else."""
    try:
        with np.load(path, allow_pickle=False) as found:
            if str(found["key"]) != key:
                return None
            stats = {name.removeprefix("stats_"): found[name] for name in found.files if name.startswith("stats_")}
            return Scores(found["ids"].tolist(), found["groups"].tolist(), stats)
    except (OSError, ValueError, KeyError):
        return None


def _write(path: Path, key: str, scores: Scores) -> None:
    stats = {f"stats_{name}": rows for name, rows in scores.stats.items()}
    with atomic_path(path) as temporary:
        np.savez_compressed(
            temporary, key=np.array(key), ids=np.array(scores.ids), groups=np.array(scores.groups), **stats
        )
