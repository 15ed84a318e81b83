"""Training of some folds by commands, fold by fold, each within its share of the time."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from maskfold.autopilot.budget import Needs
from maskfold.autopilot.command import run_command
from maskfold.autopilot.log import Log
from maskfold.runs import Run
from maskfold.steps.train import score_of

AT_ONCE = 1e-6  # hours after which a training that has an epoch ends


@dataclass(frozen=True)
class Training:
    """A network of the competition: one run.

    Attributes:
        rung: what it is called in the log: ``first``, or a rung of the ladder.
        run: its folder.
        words: options of the command that trains it, without the fold.
        folds: numbers of those that are trained.
    """

    rung: str
    run: Path
    words: Sequence[str]
    folds: Sequence[int]

    def finished(self) -> list[int]:
        """Those that are trained to their end."""
        return [fold for fold in self.folds if Run(self.run).fold(fold).finished()]


def train_folds(log: Log, training: Training, needs: Needs, *, until: float) -> bool:
    """Train the folds that are missing; what does not come to its end by itself is ended in time.

    Args:
        log: the autopilot's.
        training: what is trained.
        needs: of the steps to come.
        until: seconds of the autopilot's time at which all folds are to be trained.

    Returns:
        Whether a fold is trained to its end.
    """
    latest = log.last - needs.prediction(1, 1)
    for place, fold in enumerate(training.folds):
        name, folder = step_name(training, fold), Run(training.run).fold(fold)
        if not folder.finished():
            left = (until - log.time_used()) / (len(training.folds) - place)
            if place and left < needs.command + needs.end:
                log.end(name, "no time is left for it", ended="skipped")
                continue
            train_fold(log, training, fold, needs, seconds=left, latest=latest)
            if log.step(name).ended == "done":
                log.note(name, score_of(folder.summary()))
        elif not log.ended(name):  # the autopilot was killed, its command went on
            log.end(name, score_of(folder.summary()))
    return bool(training.finished())


def train_fold(log: Log, training: Training, fold: int, needs: Needs, *, seconds: float, latest: float) -> None:
    """Train one fold within some seconds: it stops at an epoch in time, or is ended and its best epoch kept.

    A training that is late, since the machine is slower than it was, has twice the time that its end was estimated to
    take, so that it need not be ended and begun again for its scores; but no more than leaves time for these.

    Args:
        log, training, fold, needs: see `train_folds`.
        seconds: that it has.
        latest: seconds of the autopilot's time after which a single network could no longer predict.
    """
    limit = seconds - needs.command - needs.end + _elapsed(training, fold)
    words = [*training.words, "--fold", str(fold), "--train.max_hours", f"{max(limit / 3600, AT_ONCE):.6f}"]
    name, used = step_name(training, fold), log.time_used()
    until = min(max(used + seconds, latest - needs.ending()), used + seconds + needs.command + needs.end)
    if run_command(log, name, "train-fold", words, until=until) or log.step(name).ended == "failed":
        return
    words[-1] = f"{AT_ONCE:f}"
    if log.time_used() + needs.command < latest:
        run_command(log, name, "train-fold", words, until=latest)


def step_name(training: Training, fold: int) -> str:
    """What the training of a fold is called in the log."""
    return f"{training.rung}: train fold {fold}"


def _elapsed(training: Training, fold: int) -> float:
    """Seconds of an earlier, interrupted training of a fold, which its limit counts."""
    state = Run(training.run).fold(fold).load_state()
    return 0.0 if state is None else float(state["seconds"])
