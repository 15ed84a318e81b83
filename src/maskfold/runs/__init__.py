"""The run folder: config, folds, checkpoints, out-of-fold maps, locks."""

from maskfold.runs.checkpoint import load_checkpoint, load_state, save_checkpoint, save_state
from maskfold.runs.maps import MapStore
from maskfold.runs.run import FoldFolder, Run

__all__ = [
    "FoldFolder",
    "MapStore",
    "Run",
    "load_checkpoint",
    "load_state",
    "save_checkpoint",
    "save_state",
]
