"""Training of one fold: `fit`, and what it is made of."""

from maskfold.runs.fold import ALL
from maskfold.training.callbacks import Callback
from maskfold.training.loop import fit
from maskfold.training.processes import processes
from maskfold.training.step import TrainStep

__all__ = ["ALL", "Callback", "TrainStep", "fit", "processes"]
