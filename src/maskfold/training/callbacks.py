"""What may follow or end a training from outside: time limits, early stopping, and anyone's own."""

from typing import TYPE_CHECKING

from maskfold.config import TrainConfig

if TYPE_CHECKING:
    from maskfold.training.session import Session


class Callback:
    """Called while a fold trains, in every process; the answer of `on_epoch` counts in the main one.

    By itself it does nothing: override what you need.
    """

    def on_step(self, session: "Session") -> None:
        """After each optimiser step."""

    def on_epoch(self, session: "Session") -> str | None:
        """Before each epoch, when all of the epochs before it is saved: why training should end here, or None.

        It is asked again when a training goes on, also inside an epoch, so its answer must follow from the session
        alone.
        """
        return None


class TimeLimit(Callback):
    """Ends training before the epoch that would pass ``hours`` at the mean pace so far, but not before the first.

    A last epoch that ``train.iterations`` cuts short counts by its steps, and so does one that was begun.
    """

    def __init__(self, hours: float) -> None:
        self.hours = hours

    def on_epoch(self, session: "Session") -> str | None:
        if session.epoch == 0:
            return None
        hours = session.elapsed() / 3600
        steps = session.length.steps_until(session.epoch + 1) - session.step
        if hours + steps * hours / session.step <= self.hours:
            return None
        return f"another epoch would pass train.max_hours {self.hours:g}"


class EarlyStopping(Callback):
    """Ends training after ``patience`` validations without a better score; scores of NaN do not count."""

    def __init__(self, patience: int) -> None:
        self.patience = patience

    def on_epoch(self, session: "Session") -> str | None:
        best = [row["best"] for row in session.history if row["best"] is not None and row["best"] == row["best"]]
        if len(best) <= self.patience or best[-1] > best[-1 - self.patience]:
            return None
        return f"{self.patience} validations without a better score"


def stop_rules(config: TrainConfig) -> list[Callback]:
    """The callbacks that a config asks for."""
    rules: list[Callback] = []
    if config.max_hours is not None:
        rules.append(TimeLimit(config.max_hours))
    if config.early_stop is not None:
        rules.append(EarlyStopping(config.early_stop))
    return rules
