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
from maskfold.ensembling.choice import Mix
from maskfold.ensembling.finished import finished_folds
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

    def probability(self, mix: Mix) -> np.ndarray:
        """What runs say together, as `merged_map` has it: float32 (C, H, W)."""
        return merged_map(self.read, mix)

    def presence(self, mix: Mix) -> np.ndarray | None:
        """Mean over those runs that have one of the mean over folds: float32 (C,)."""
        return self._mean(mix, lambda store, image_id: store.presence(image_id))

    def inside(self, mix: Mix) -> np.ndarray | None:
        """Mean over those runs that have one of the mean over folds of `Prediction.inside`: float32 (H, W)."""
        return self._mean(mix, lambda store, image_id: _in_units(store.inside(image_id)))

    def prediction(self, mix: Mix, competition: Competition, read: "Read | None" = None) -> Prediction:
        """What a decoding chain takes; several chains load the image once.

        ``read``: gives stored maps; None: `read`.
        """
        return Prediction(
            self.id,
            0,
            merged_map(read or self.read, mix),
            image=cache(partial(competition.image, self.image)),
            presence=self.presence(mix),
            inside=self.inside(mix),
        )

    def _mean(self, mix: Mix, ask: Callable[[MapStore, str], np.ndarray | None]) -> np.ndarray | None:
        looks = zip(mix.views, self.views, strict=True) if mix.views else [(1.0, self)]
        return mean_of_known((share, look._mean_of_runs(mix, ask)) for share, look in looks)

    def _mean_of_runs(self, mix: Mix, ask: Callable[[MapStore, str], np.ndarray | None]) -> np.ndarray | None:
        of_runs = [
            mean_of_known((1, ask(store, self.id)) for store in stores[checkpoint])
            for stores, checkpoint in zip(self.stores, mix.checkpoints, strict=True)
        ]
        return mean_of_known(zip(mix.weights, of_runs, strict=True))

    def truth(self, competition: Competition) -> Label:
        """The image's label, of the size of its maps."""
        return competition.scored_label(Sample(self.id, self.image, self.masks))


Read = Callable[[int | None, int, str], Levels]
"""`OofImage.read`."""


def merged_map(read: Read, mix: Mix) -> np.ndarray:
    """What runs say of an image together: float32 (C, H, W). ``read`` gives stored maps."""
    if mix.stack is not None:
        return stacked_map(mix.stack, run_maps(read, mix))
    return _mean(read, list(enumerate(mix.checkpoints)), mix.weights, mix.views)


def run_maps(read: Read, mix: Mix) -> list[np.ndarray]:
    """The map of each run by itself, as for `merged_map`."""
    return [_mean(read, [run], [1.0], mix.views) for run in enumerate(mix.checkpoints)]


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
