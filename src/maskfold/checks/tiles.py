"""Tiles that share pixels of their raster, in both splits of a fold."""

import numpy as np
import pandas as pd

from maskfold.checks.notes import Notes
from maskfold.competitions import Competition, Samples
from maskfold.competitions.samples import names_of, read_rows
from maskfold.config import FoldsConfig, GroupConfig
from maskfold.errors import CompetitionError, first_few

# Where each tile is in its raster, as ``tile.py cut`` writes it into the table of groups.
COLUMNS = ("scene", "top", "left", "height", "width")
SHARED = ("fold", "id", "other", *COLUMNS, *(f"{name}_other" for name in COLUMNS[1:]))


def check_tiles(
    competition: Competition, train: Samples, folds: pd.DataFrame, config: FoldsConfig, notes: Notes
) -> pd.DataFrame:
    """What `shared_pixels` finds; a warning where a validation tile shares pixels with one that its fold trains on.

    Nothing where places are not known. They are where the table of groups, that of the profile or of ``folds.group``,
    has the columns `COLUMNS`, in pixels.

    Args:
        folds: fold, id and split, as `make_folds` has them.
    """
    group = config.group or competition.profile.group
    places = _places(competition, train, group) if isinstance(group, GroupConfig) else None
    if places is None:
        return pd.DataFrame(columns=SHARED)
    shared = shared_pixels(places, folds)
    if shared.empty:
        notes.facts["tiles"] = f"of {places['scene'].nunique()} rasters; none shares pixels with another split"
        return shared
    rows = shared[["fold", "id", "other"]].to_numpy()
    names = first_few(f"{id_} in fold {fold}, {other} in its training split" for fold, id_, other in rows)
    notes.warnings.append(
        f"{shared['id'].nunique()} validation tiles share pixels with training tiles of their fold, which flatters the "
        f"score: {names}; set folds.group.column to scene, or cut again with fewer tiles that overlap: tiles of two "
        "blocks share none"
    )
    return shared


def shared_pixels(places: pd.DataFrame, folds: pd.DataFrame) -> pd.DataFrame:
    """`SHARED`: the validation tiles that share pixels with training tiles, each with the first of these.

    ``top, left, height, width`` is the place of ``id`` in its raster, ``top_other`` and so on that of ``other``.

    Args:
        places: id and `COLUMNS` of each tile.
        folds: fold, id, split (train or valid).
    """
    side = max(1, int(places[["height", "width"]].to_numpy().max()))
    cells = _cells(places, side)
    found = []
    for fold, own in folds.groupby("fold"):
        valid, train = (cells[cells["id"].isin(own.loc[own["split"] == split, "id"])] for split in ("valid", "train"))
        pairs = valid.merge(train, on=["scene", "row", "column"], suffixes=("", "_other"))
        rows, columns = (
            (pairs[start] < pairs[f"{start}_other"] + pairs[f"{length}_other"])
            & (pairs[f"{start}_other"] < pairs[start] + pairs[length])
            for start, length in (("top", "height"), ("left", "width"))
        )
        first = pairs[rows & columns].drop_duplicates("id")
        found.append(first.assign(fold=fold, other=first["id_other"])[list(SHARED)])
    return pd.concat(found, ignore_index=True)


def _cells(places: pd.DataFrame, side: int) -> pd.DataFrame:
    """A row for each cell of ``side`` pixels that a tile touches: at most four, since no tile is larger."""
    ends = {"row": ("top", "height"), "column": ("left", "width")}
    parts = []
    for down in (False, True):
        for right in (False, True):
            cells = places.copy()
            for (name, (start, length)), last in zip(ends.items(), (down, right), strict=True):
                cells[name] = (places[start] + (places[length] - 1 if last else 0)) // side
            parts.append(cells)
    return pd.concat(parts).drop_duplicates(["id", "row", "column"])


def _places(competition: Competition, train: Samples, group: GroupConfig) -> pd.DataFrame | None:
    """Where the training images are, of which all must be known; `None` where the table does not say it."""
    try:
        rows = read_rows(competition.files, group.file, group.id, *COLUMNS)
        known = {name: place for name, *place in rows}
        found = [next((known[key] for key in names_of(sample) if key in known), None) for sample in train]
        if None in found:
            return None
        places = pd.DataFrame(found, columns=list(COLUMNS)).assign(id=train.ids)
        return places.astype(dict.fromkeys(COLUMNS[1:], np.int64))
    except (CompetitionError, ValueError):
        return None  # a table of groups alone
