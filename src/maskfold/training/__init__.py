"""Training of one fold: `fit`, and what it is made of."""

from maskfold.training.data import ALL, ensure_folds
from maskfold.training.loop import fit
from maskfold.training.processes import processes

__all__ = ["ALL", "ensure_folds", "fit", "processes"]
