"""Out-of-fold predictions of one or several runs, image by image, beside the truth."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from maskfold.competitions import Competition
from maskfold.config import InferenceConfig
from maskfold.datasets import fold_splits, read_folds
from maskfold.ensembling.checkpoints import ensure_oof
from maskfold.ensembling.finished import finished_folds
from maskfold.errors import InferenceError
from maskfold.runs import MapStore, Run


@dataclass(frozen=True)
class OofImage:
    """One image that finished folds have validated: where its maps are, per run, and its fold."""

    id: str
    image: str
    masks: object
    fold: int
    stores: tuple[tuple[MapStore, ...], ...]

    def probabilities(self, weights: Sequence[float]) -> np.ndarray:
        """Weighted mean over runs (weights sum to 1) of the mean over folds: float32 (C, H, W)."""
        total = None
        for weight, stores in zip(weights, self.stores, strict=True):
            for store in stores:
                values = store.read(self.id).astype(np.float32) * np.float32(weight / (255 * len(stores)))
                total = values if total is None else total + values
        return total

    def truth(self, competition: Competition, shape: tuple[int, int]) -> np.ndarray:
        """The labelled mask, uint8 (H, W)."""
        return competition.mask(self.masks, shape)


def oof_images(
    runs: Sequence[Run], kinds: Sequence[str], competition: Competition, options: Sequence[InferenceConfig]
) -> list[OofImage]:
    """Every image validated by a finished fold of all runs, in the order of the sample table.

    ``fold`` is the first fold that validates the image in the first run: folds never share an image, so
    they serve for cross-fitting.

    Raises:
        InferenceError: no fold is finished, or the runs' finished folds validate different images.
    """
    samples = competition.samples("train")
    maps = [_maps_by_id(*each, competition) for each in zip(runs, kinds, options, strict=True)]
    for run, found in zip(runs[1:], maps[1:], strict=True):
        if set(found) != set(maps[0]):
            raise InferenceError(
                f"{runs[0].path} and {run.path} have out-of-fold predictions of {len(maps[0])} and {len(found)} "
                f"images, {len(set(found) & set(maps[0]))} in common: train the same folds of both, divided alike"
            )
    return [
        OofImage(
            id=row.id,
            image=row.image,
            masks=row.masks,
            fold=maps[0][row.id][0][0],
            stores=tuple(tuple(store for _, store in found[row.id]) for found in maps),
        )
        for row in samples.itertuples()
        if row.id in maps[0]
    ]


def _maps_by_id(
    run: Run, kind: str, options: InferenceConfig, competition: Competition
) -> dict[str, list[tuple[int, MapStore]]]:
    folds = finished_folds(run)
    table = read_folds(run.folds_path, list(competition.samples("train")["id"]))
    maps: dict[str, list[tuple[int, MapStore]]] = {}
    for fold in folds:
        store = ensure_oof(run, fold, kind, competition, options)
        for image_id in fold_splits(table, fold)[1]["id"]:
            maps.setdefault(image_id, []).append((fold, store))
    return maps


def candidate_table(run: Run) -> pd.DataFrame:
    """Validation scores (threshold 0.5, no views): a row per checkpoint, a column per finished fold.

    Only kinds that every finished fold has, best mean first.
    """
    scores = {fold: run.fold(fold).summary().get("candidates", {}) for fold in finished_folds(run)}
    table = pd.DataFrame(scores).dropna()
    order = table.mean(axis=1).sort_values(ascending=False, kind="stable").index
    return table.loc[order]
