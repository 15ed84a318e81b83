"""What training wrote down per epoch and at its end."""

from dataclasses import dataclass
from typing import Any

import pandas as pd

from maskfold.runs import Run
from maskfold.schedule import cycle_ends

NOT_TERMS = ("epoch", "step", "lr", "loss", "best")


@dataclass(frozen=True)
class FoldHistory:
    """One trained fold: its table of epochs (``metrics.csv``, may be empty) and its summary."""

    fold: str
    epochs: pd.DataFrame
    summary: dict[str, Any]

    @property
    def terms(self) -> list[str]:
        """The loss and, where it has several, its terms."""
        terms = [name for name in self.epochs if name not in NOT_TERMS and not name.startswith("valid_")]
        return [name for name in ("loss", *(terms if len(terms) > 1 else ())) if name in self.epochs]

    @property
    def scores(self) -> pd.Series:
        """Validation score by epoch, of the epochs that were validated; empty for the fold ``all``."""
        column = next((name for name in self.epochs if name.startswith("valid_")), None)
        if column is None:
            return pd.Series(dtype=float)
        return self.epochs.set_index("epoch")[column].astype(float).dropna()


def read_history(run: Run) -> list[FoldHistory]:
    """Every finished fold, ``all`` included, in order."""
    folds = [run.fold(number) for number in [*run.finished_folds(), "all"]]
    return [
        FoldHistory(
            fold=fold.name,
            epochs=pd.read_csv(fold.metrics_path) if fold.metrics_path.exists() else pd.DataFrame(),
            summary=fold.summary(),
        )
        for fold in folds
        if fold.finished()
    ]


def ends_of_cycles(run: Run, history: list[FoldHistory]) -> list[int]:
    """Epochs at whose end a cycle of the learning rate ended; empty where there is one cycle only."""
    cycles = run.config.schedule.cycles
    if cycles == 1:
        return []
    # A run given in steps rounds up to whole epochs; its longest fold ran them all.
    longest = max((len(fold.epochs) for fold in history), default=0)
    return cycle_ends(run.config.train.epochs or longest, cycles)
