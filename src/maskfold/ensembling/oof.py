"""Out-of-fold predictions of one or several runs, image by image, beside the truth."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial

import numpy as np
import pandas as pd

from maskfold.cluster import Cluster, workers_of
from maskfold.competitions import Competition, ImagePath, Sample
from maskfold.config import FoldsConfig, TTAConfig
from maskfold.datasets import fold_splits, load_groups
from maskfold.ensembling.checkpoints import ensure_oof, has_oof
from maskfold.ensembling.choice import EnsembleChoice
from maskfold.ensembling.finished import finished_folds
from maskfold.ensembling.stack import Stack
from maskfold.ensembling.stack_layer import stacked_map
from maskfold.errors import InferenceError
from maskfold.inference.merge import mean_of_known
from maskfold.inference.predict import Prediction
from maskfold.labels import Label
from maskfold.parallel import default_processes
from maskfold.runs import MapStore, Run

Levels = Sequence[np.ndarray]


@dataclass(frozen=True)
class OofImage:
    """One image that finished folds have validated.

    Attributes:
        id: the image's.
        image: its path, or paths, in the competition's folder.
        masks: what `Competition.label` takes.
        fold: the first fold that validates it in the first run.
        stores: of each run, checkpoint -> where the maps of its folds are.
        views: the same image with the maps of each view alone, where they are asked for.
    """

    id: str
    image: ImagePath
    masks: object
    fold: int
    stores: tuple[Mapping[str, tuple[MapStore, ...]], ...]
    views: tuple["OofImage", ...] = ()

    def levels(self, run: int, checkpoint: str) -> Levels:
        """The stored maps of a run's checkpoint, uint8 (C, H, W), one of each fold that validates the image."""
        return [store.read(self.id) for store in self.stores[run][checkpoint]]

    def read(self, view: int | None, run: int, checkpoint: str) -> Levels:
        """`levels` of a view's maps; None: of those that are merged of all."""
        return (self if view is None else self.views[view]).levels(run, checkpoint)

    def probability(self, checkpoints: Sequence[str], weights: Sequence[float]) -> np.ndarray:
        """What runs say together, as `merged_map` has it: float32 (C, H, W)."""
        return merged_map(self.read, checkpoints, weights)

    def probability_of(self, choice: EnsembleChoice) -> np.ndarray:
        """What the runs of a choice say together: float32 (C, H, W)."""
        return merged_map(self.read, choice.checkpoints, choice.weights, stack=choice.stack)

    def prediction_of(self, choice: EnsembleChoice, competition: Competition) -> Prediction:
        """What the decoding chain of a choice takes."""
        return self.prediction(self.probability_of(choice), choice.checkpoints, choice.weights, competition)

    def presence(self, checkpoints: Sequence[str], weights: Sequence[float]) -> np.ndarray | None:
        """Mean over those runs that have one of the mean over folds: float32 (C,)."""
        of_runs = [
            mean_of_known((1, store.presence(self.id)) for store in stores[checkpoint])
            for stores, checkpoint in zip(self.stores, checkpoints, strict=True)
        ]
        return mean_of_known(zip(weights, of_runs, strict=True))

    def inside(self, checkpoints: Sequence[str], weights: Sequence[float]) -> np.ndarray | None:
        """Mean over those runs that have one of the mean over folds of `Prediction.inside`: float32 (H, W)."""
        of_runs = [
            mean_of_known((1, _in_units(store.inside(self.id))) for store in stores[checkpoint])
            for stores, checkpoint in zip(self.stores, checkpoints, strict=True)
        ]
        return mean_of_known(zip(weights, of_runs, strict=True))

    def prediction(
        self,
        probability: np.ndarray,
        checkpoints: Sequence[str],
        weights: Sequence[float],
        competition: Competition,
        *,
        views: Sequence[float] = (),
    ) -> Prediction:
        """What a decoding chain takes, of a merged ``probability``; several chains load the image once.

        ``views``: as for `merged_map`.
        """
        looks = list(zip(views, self.views, strict=True)) if views else [(1.0, self)]
        return Prediction(
            self.id,
            0,
            probability,
            image=cache(partial(competition.image, self.image)),
            presence=mean_of_known((share, look.presence(checkpoints, weights)) for share, look in looks),
            inside=mean_of_known((share, look.inside(checkpoints, weights)) for share, look in looks),
        )

    def truth(self, competition: Competition) -> Label:
        """The image's label, of the size of its maps."""
        return competition.scored_label(Sample(self.id, self.image, self.masks))


Read = Callable[[int | None, int, str], Levels]
"""`OofImage.read`."""


def merged_map(
    read: Read,
    checkpoints: Sequence[str],
    weights: Sequence[float],
    *,
    views: Sequence[float] = (),
    stack: Stack | None = None,
) -> np.ndarray:
    """What runs say of an image together: float32 (C, H, W).

    Args:
        read: gives stored maps.
        checkpoints: of each run.
        weights: of the runs; they sum to 1.
        views: weights, which sum to 1, of the views, whose maps are then read one by one; none: merged as stored.
        stack: puts the runs together in the place of the weights.
    """
    if stack is not None:
        return stacked_map(stack, run_maps(read, checkpoints, views=views))
    return _mean(read, list(enumerate(checkpoints)), weights, views)


def run_maps(read: Read, checkpoints: Sequence[str], *, views: Sequence[float] = ()) -> list[np.ndarray]:
    """The map of each run by itself, as for `merged_map`."""
    return [_mean(read, [run], [1.0], views) for run in enumerate(checkpoints)]


def _mean(read: Read, runs: Sequence[tuple[int, str]], weights: Sequence[float], views: Sequence[float]) -> np.ndarray:
    if not views:
        return merged_levels([read(None, *run) for run in runs], weights)
    seen = [(view, np.float32(share)) for view, share in enumerate(views) if share > 0]
    return np.sum([merged_levels([read(view, *run) for run in runs], weights) * share for view, share in seen], axis=0)


def merged_levels(levels: Sequence[Levels], weights: Sequence[float]) -> np.ndarray:
    """Weighted mean over runs (weights sum to 1) of the mean over folds: float32 (C, H, W) of uint8 maps."""
    total = None
    for weight, maps in zip(weights, levels, strict=True):
        for one in maps:
            values = one.astype(np.float32) * np.float32(weight / (255 * len(maps)))
            total = values if total is None else total + values
    if total is None:
        raise InferenceError("there is no out-of-fold map to read: name at least one run")
    return total


def _in_units(levels: np.ndarray | None) -> np.ndarray | None:
    return None if levels is None else levels.astype(np.float32) / np.float32(255)


def oof_images(
    runs: Sequence[Run],
    checkpoints: Sequence[Collection[str]],
    competition: Competition,
    tta: Sequence[TTAConfig],
    *,
    folds: Collection[int] | None = None,
    batch_size: int | None = None,
    cluster: Cluster | None = None,
) -> list[OofImage]:
    """Every image validated by a finished fold of all runs, in the order of the samples.

    Folds never share an image (``fold`` is the first that validates it), so they serve for cross-fitting.

    Args:
        runs: the runs.
        checkpoints: of each run, those whose maps are wanted; they are computed where they are missing.
        competition: the runs' competition.
        tta: of each run, how its maps are made.
        folds: only these of the finished ones; `None`: all.
        batch_size: images per batch where maps are computed; `None`: as in each run's config.
        cluster: compute the missing maps on a Ray cluster.

    Raises:
        InferenceError: no fold is finished, or the runs' finished folds validate different images.
    """
    samples = competition.samples("train")
    used = [[fold for fold in finished_folds(run) if folds is None or fold in folds] for run in runs]
    by_id = [_folds_by_id(*each, competition) for each in zip(runs, used, strict=True)]
    for run, found in zip(runs[1:], by_id[1:], strict=True):
        if set(found) != set(by_id[0]):
            raise InferenceError(
                f"{runs[0].path} and {run.path} have out-of-fold predictions of {len(by_id[0])} and {len(found)} "
                f"images, {len(set(found) & set(by_id[0]))} in common: train the same folds of both, made alike"
            )
    _make_missing(runs, used, checkpoints, competition, tta, batch_size, cluster)
    stores = [
        {
            checkpoint: {
                fold: ensure_oof(run, fold, checkpoint, competition, how, batch_size=batch_size) for fold in own
            }
            for checkpoint in names
        }
        for run, own, names, how in zip(runs, used, checkpoints, tta, strict=True)
    ]
    return [
        OofImage(
            id=sample.id,
            image=sample.image,
            masks=sample.masks,
            fold=by_id[0][sample.id][0],
            stores=tuple(
                {checkpoint: tuple(of_fold[fold] for fold in found[sample.id]) for checkpoint, of_fold in own.items()}
                for own, found in zip(stores, by_id, strict=True)
            ),
        )
        for sample in samples
        if sample.id in by_id[0]
    ]


def _make_missing(
    runs: Sequence[Run],
    folds: Sequence[Sequence[int]],
    checkpoints: Sequence[Collection[str]],
    competition: Competition,
    tta: Sequence[TTAConfig],
    batch_size: int | None,
    cluster: Cluster | None,
) -> None:
    """On a cluster, or where there are several GPUs, compute the missing maps side by side, a checkpoint's on each."""
    missing = [
        (run, fold, checkpoint, competition, how)
        for run, own, names, how in zip(runs, folds, checkpoints, tta, strict=True)
        for checkpoint in names
        for fold in own
        if not has_oof(run, fold, checkpoint, competition, how)
    ]
    processes = min(len(missing), default_processes())
    if processes > 1 or (missing and cluster is not None):
        with workers_of(cluster, processes) as workers:
            workers(partial(ensure_oof, batch_size=batch_size), missing)


def _folds_by_id(run: Run, folds: Sequence[int], competition: Competition) -> dict[str, list[int]]:
    """Image -> those of some folds that validate it."""
    table = run.folds(competition)
    found: dict[str, list[int]] = {}
    for fold in folds:
        for image_id in fold_splits(table, fold)[1]["id"]:
            found.setdefault(image_id, []).append(fold)
    return found


def groups_of(competition: Competition, ids: Sequence[str], folds: FoldsConfig | None = None) -> list[str] | None:
    """The group of each image, for intervals and parts; `None` where groups are not known.

    Args:
        competition: whose images these are.
        ids: of images of one split.
        folds: how a run's folds were made: then by the groups that it knows, else by those that the competition
            declares.
    """
    split = "test" if set(ids) <= set(competition.samples("test").ids) else "train"
    samples = competition.samples(split)
    groups = [sample.group for sample in samples] if folds is None else load_groups(competition, samples, folds)
    if groups is None:
        return None
    by_id = dict(zip(samples.ids, groups, strict=True))
    found = [group for image_id in ids if (group := by_id.get(image_id)) is not None]
    return found if len(found) == len(ids) else None


def candidate_table(run: Run) -> pd.DataFrame:
    """Validation scores (threshold 0.5, no views): a row per checkpoint, a column per finished fold.

    Only checkpoints that every finished fold has, best mean first. A score is NaN where a fold's validation images
    have no pixel that counts; the mean is over the others.
    """
    scores = {fold: run.fold(fold).summary().get("candidates", {}) for fold in finished_folds(run)}
    everywhere = set.intersection(*(set(of_fold) for of_fold in scores.values()))
    table = pd.DataFrame(scores, dtype=float)
    table = table.loc[[name for name in table.index if name in everywhere]]
    order = table.mean(axis=1).sort_values(ascending=False, kind="stable").index
    return table.loc[order]
