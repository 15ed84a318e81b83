"""The division into folds, tried: how even it is, and which copies it puts on both sides."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from maskfold.checks.duplicates import Duplicates
from maskfold.checks.images import Images
from maskfold.checks.masks import Masks
from maskfold.checks.notes import Notes
from maskfold.competitions import Competition
from maskfold.config import FoldsConfig
from maskfold.datasets.folds import GROUPED, load_groups, make_folds
from maskfold.errors import CompetitionError, FoldsError, first_few


@dataclass(frozen=True)
class Division:
    """The folds as `make_folds` would make them.

    Attributes:
        balance: a row per fold: fold, train and valid (images), coverage (mean of the validation masks), empty
            (share of them), groups (in the validation split; 0 without groups), leaks (validation images with a
            copy among the fold's training images).
        leaks: fold, id (of the validation image), copy (id of a training image).
    """

    balance: pd.DataFrame
    leaks: pd.DataFrame


def check_folds(
    competition: Competition,
    train: pd.DataFrame,
    images: Images,
    masks: Masks,
    copies: Duplicates,
    config: FoldsConfig,
    notes: Notes,
) -> Division | None:
    """Divide the training images that can be used; None where that fails, which is a problem.

    Warnings: copies in both splits of a fold. Facts: groups, folds.
    """
    if train.empty:
        return None
    known = dict(zip(masks.table["id"], masks.table["coverage"], strict=True))
    coverage = np.array([known.get(id_, 0.0) for id_ in train["id"]])
    try:
        groups = load_groups(competition, train, config)
        folds = make_folds(train, coverage, config, groups)
    except (FoldsError, CompetitionError) as error:
        notes.problems.append(str(error))
        return None
    folds["coverage"] = folds["id"].map(dict(zip(train["id"], coverage, strict=True)))
    folds["group"] = folds["id"].map(dict(zip(train["id"], groups, strict=True))) if groups is not None else None
    leaks = _leaks(folds, images, copies)
    division = Division(_balance(folds, leaks), leaks)
    if groups is not None:
        notes.facts["groups"] = str(len(np.unique(groups)))
    sizes = ", ".join(map(str, division.balance["valid"]))
    notes.facts["folds"] = f"{len(division.balance)} ({config.kind}), validation images {sizes}"
    _warn(division, config, notes)
    return division


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


def _warn(division: Division, config: FoldsConfig, notes: Notes) -> None:
    leaks = division.leaks.drop_duplicates("id")
    if leaks.empty:
        return
    grouped = config.kind if config.kind in GROUPED else "stratified-grouped"
    names = first_few(f"{id_} in fold {fold}, {copy} in its training split" for fold, id_, copy in leaks.to_numpy())
    notes.warnings.append(
        f"{len(leaks)} validation images have a copy among their fold's training images, which flatters the score: "
        f"{names}; keep copies together: a CSV with one group for each set of copies, folds.group (file, id, column) "
        f"and folds.kind {grouped}"
    )
