"""The run folder: config, folds, checkpoints, history, out-of-fold maps, locks."""

from maskfold.runs.fold import FoldFolder
from maskfold.runs.maps import MapStore
from maskfold.runs.run import Run

__all__ = ["FoldFolder", "MapStore", "Run"]
