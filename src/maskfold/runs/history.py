"""What training wrote down per epoch (``metrics.csv``) and at its end."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from maskfold.errors import RunError
from maskfold.runs.fold import AGAIN, FoldFolder
from maskfold.runs.run import Run
from maskfold.schedule import cycle_ends

METRICS = "metrics.csv"
VALID_LOSS = "valid_loss"
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
        terms = [name for name in self.epochs if is_term(name)]
        return [name for name in ("loss", *(terms if len(terms) > 1 else ())) if name in self.epochs]

    @property
    def metric(self) -> str:
        """Name of the score; empty where nothing is logged yet."""
        found = (
            name.removeprefix("valid_") for name in self.epochs if name.startswith("valid_") and name != VALID_LOSS
        )
        return next(found, "")

    @property
    def scores(self) -> pd.Series:
        """Validation score by epoch, of the epochs that were validated; empty for the fold ``all``."""
        return self.course("score")

    def course(self, what: str) -> pd.Series:
        """A column of ``metrics.csv`` by epoch, the epochs without a value left out; empty where it was not logged.

        Args:
            what: a column, or ``score`` or ``train_score``: that of the validation images, or of some training images.
        """
        column = {"score": f"valid_{self.metric}", "train_score": f"train_{self.metric}"}.get(what, what)
        if column not in self.epochs:
            return pd.Series(dtype=float)
        return self.epochs.set_index("epoch")[column].astype(float).dropna()


def is_term(column: str) -> bool:
    """Whether a column of ``metrics.csv`` holds a term of the loss."""
    return column not in NOT_TERMS and not column.startswith(("valid_", "train_"))


def write_epochs(fold: FoldFolder, rows: Sequence[dict[str, Any]]) -> None:
    """Write ``metrics.csv``, a row per epoch, whole."""
    fold.manifest.publish(METRICS, pd.DataFrame(rows).to_csv(index=False, lineterminator="\n").encode())


def read_epochs(fold: FoldFolder) -> pd.DataFrame:
    """What `write_epochs` wrote; an empty table before that.

    Raises:
        RunError: the file is damaged.
    """
    try:
        return pd.read_csv(io.BytesIO(fold.manifest.read(METRICS)))
    except FileNotFoundError:
        return pd.DataFrame()
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())
        raise RunError(f"{fold.path / METRICS} is damaged ({reason}): restore it, or {AGAIN}") from None


def read_history(run: Run) -> list[FoldHistory]:
    """Every finished fold, ``all`` included, in order."""
    return [FoldHistory(fold.name, read_epochs(fold), fold.summary()) for fold in run.finished()]


def ends_of_cycles(run: Run, history: list[FoldHistory]) -> list[int]:
    """Epochs at whose end a cycle of the learning rate ended; empty where there is one cycle only."""
    cycles = run.config.schedule.cycles
    if cycles == 1:
        return []
    # A run given in steps rounds up to whole epochs; its longest fold ran them all.
    longest = max((len(fold.epochs) for fold in history), default=0)
    return cycle_ends(run.config.train.epochs or longest, cycles)
