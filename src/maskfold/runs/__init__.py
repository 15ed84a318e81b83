"""The run folder: config, folds, checkpoints, out-of-fold maps, the tuned ensemble, locks."""

from maskfold.runs.checkpoint import load_member, load_state, save_member, save_state
from maskfold.runs.ensemble import EnsembleChoice, read_ensemble, write_ensemble
from maskfold.runs.errors import RunError
from maskfold.runs.maps import MapStore
from maskfold.runs.run import FoldFolder, Run

__all__ = [
    "EnsembleChoice",
    "FoldFolder",
    "MapStore",
    "Run",
    "RunError",
    "load_member",
    "load_state",
    "read_ensemble",
    "save_member",
    "save_state",
    "write_ensemble",
]
