"""The folds, tried: how even they are, and which copies stand on both sides of one."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from maskfold.checks.duplicates import Duplicates
from maskfold.checks.images import Images
from maskfold.checks.masks import Masks
from maskfold.checks.notes import Notes
from maskfold.checks.tiles import check_tiles
from maskfold.competitions import Competition, Samples
from maskfold.config import FoldsConfig
from maskfold.datasets.folds import GROUPED, ignored_groups, kind_of_folds, load_groups, make_folds
from maskfold.errors import CompetitionError, FoldsError, first_few


@dataclass(frozen=True)
class TriedFolds:
    """The folds as `make_folds` would make them.

    Attributes:
        balance: a row per fold: fold, train and valid (images), coverage (mean of the validation masks), empty
            (share of them), groups (in the validation split; 0 without groups), leaks (validation images with a
            copy among the fold's training images).
        leaks: fold, id (of the validation image), copy (id of a training image).
        tiles: validation images that share pixels with training images of their fold, see `shared_pixels`.
        groups: id -> group of each training image; empty without groups.
    """

    balance: pd.DataFrame
    leaks: pd.DataFrame
    tiles: pd.DataFrame
    groups: dict[str, str]


def check_folds(
    competition: Competition,
    train: Samples,
    images: Images,
    masks: Masks,
    copies: Duplicates,
    config: FoldsConfig,
    notes: Notes,
) -> TriedFolds | None:
    """Split the training images that can be used into folds; None where that fails, which is a problem.

    Warnings: copies in both splits of a fold. Facts: groups, folds.
    """
    if not train:
        return None
    known = dict(zip(masks.table["id"], masks.table["coverage"], strict=True))
    coverage = np.array([known.get(id_, 0.0) for id_ in train.ids])
    try:
        groups = load_groups(competition, train, config)
        folds = make_folds(train, coverage, config, groups)
    except (FoldsError, CompetitionError) as error:
        notes.problems.append(str(error))
        return None
    folds["coverage"] = folds["id"].map(dict(zip(train.ids, coverage, strict=True)))
    folds["group"] = folds["id"].map(dict(zip(train.ids, groups, strict=True))) if groups is not None else None
    leaks = _leaks(folds, images, copies)
    tiles = check_tiles(competition, train, folds, config, notes)
    known = {} if groups is None else dict(zip(train.ids, map(str, groups), strict=True))
    tried = TriedFolds(_balance(folds, leaks), leaks, tiles, known)
    if groups is not None:
        notes.facts["groups"] = str(len(np.unique(groups)))
    sizes = ", ".join(map(str, tried.balance["valid"]))
    kind = kind_of_folds(config, groups is not None)
    notes.facts["folds"] = f"{len(tried.balance)} ({kind}), validation images {sizes}"
    if note := ignored_groups(train, config):
        notes.warnings.append(note)
    _warn(tried, kind, notes)
    return tried


def _leaks(folds: pd.DataFrame, images: Images, copies: Duplicates) -> pd.DataFrame:
    rows = images.rows_of("train")
    sets = pd.Series(copies.sets[rows], index=images.table["id"].to_numpy()[rows])
    sets = sets[sets.duplicated(keep=False)]
    placed = folds[["fold", "id", "split"]].assign(set=folds["id"].map(sets)).dropna(subset="set")
    train = placed[placed["split"] == "train"].drop_duplicates(["fold", "set"]).rename(columns={"id": "copy"})
    valid = placed[placed["split"] == "valid"]
    return valid.merge(train[["fold", "set", "copy"]], on=["fold", "set"])[["fold", "id", "copy"]]


def _balance(folds: pd.DataFrame, leaks: pd.DataFrame) -> pd.DataFrame:
    rows = []
    for fold, own in folds.groupby("fold"):
        valid = own[own["split"] == "valid"]
        rows.append(
            {
                "fold": int(fold),
                "train": int((own["split"] == "train").sum()),
                "valid": len(valid),
                "coverage": float(valid["coverage"].mean()),
                "empty": float((valid["coverage"] == 0).mean()),
                "groups": int(valid["group"].nunique()),
                "leaks": int((leaks["fold"] == fold).sum()),
            }
        )
    return pd.DataFrame(rows)


def _warn(tried: TriedFolds, kind: str, notes: Notes) -> None:
    leaks = tried.leaks.drop_duplicates("id")
    if leaks.empty:
        return
    grouped = kind if kind in GROUPED else "stratified-grouped"
    names = first_few(f"{id_} in fold {fold}, {copy} in its training split" for fold, id_, copy in leaks.to_numpy())
    notes.warnings.append(
        f"{len(leaks)} validation images have a copy among their fold's training images, which flatters the score: "
        f"{names}; keep copies together: folds.copies together, folds.kind {grouped}"
    )
