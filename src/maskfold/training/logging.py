"""What training tells: a bar or plain lines, ``metrics.csv``, and the trackers that the config names."""

import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any, cast

import torch
from accelerate import Accelerator
from tqdm import tqdm

from maskfold.device import wait_for
from maskfold.runs.history import is_term, write_epochs
from maskfold.training.forecast import MEASURED, Stopwatch, Work, duration
from maskfold.training.midway import batches_done
from maskfold.training.session import Session

NAMED = ("wandb", "trackio")


class EpochLog:
    """Running sums of the loss and its terms, kept on the device so that no step waits for it."""

    def __init__(self) -> None:
        self.sums: dict[str, torch.Tensor] = {}
        self.counts: dict[str, int] = {}

    def add(self, terms: dict[str, torch.Tensor]) -> None:
        """Add one batch's values."""
        for name, value in terms.items():
            value = value.detach().double() if value.device.type != "mps" else value.detach().float()
            self.sums[name] = self.sums[name] + value if name in self.sums else value
            self.counts[name] = self.counts.get(name, 0) + 1

    def means(self, accelerator: Accelerator | None = None) -> dict[str, float]:
        """Mean over the batches (and processes) so far."""
        means = {}
        for name, total in self.sums.items():
            mean = total / self.counts[name]
            if accelerator is not None:  # its reduce takes whole structures: of a tensor it returns a tensor
                mean = cast("torch.Tensor", accelerator.reduce(mean, reduction="mean"))
            means[name] = float(mean)
        return means


class RunLog:
    """The log of one fold's training. Only the main process speaks and writes."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.work = Work.of(session)
        self.stopwatch: Stopwatch | None = None
        self.bar: tqdm | None = None
        self.epoch_started = time.monotonic()
        if session.config.train.trackers:
            facts = {"run": session.run.name, "fold": session.fold.name}
            named = {"name": f"{session.run.name} fold {session.fold.name}"}  # how services on the web call a run
            session.accelerator.init_trackers("tracker", config=facts, init_kwargs=dict.fromkeys(NAMED, named))
        if session.epoch or session.midway:
            part = f" and {batches_done(session, session.midway)} batches of the next one" if session.midway else ""
            of = f"epoch {session.epoch} of {session.length.epochs}"
            self.tell(f"fold {session.fold.name}: going on after {of}{part}")

    def tell(self, text: str) -> None:
        """One line for the user."""
        if self.session.is_main:
            tqdm.write(text)
            sys.stdout.flush()

    def batches(self, loader: Iterable[dict], first: int = 0) -> Iterator[dict]:
        """The epoch's batches, ``first`` of which are done, behind a bar where the output is a terminal."""
        session = self.session
        self.epoch_started = time.monotonic()
        if self.stopwatch is None:
            self.stopwatch = self._start_stopwatch(first)
        self.bar = tqdm(
            loader,
            total=session.length.batches_per_epoch,
            initial=first,
            desc=f"fold {session.fold.name} epoch {session.epoch}/{session.length.epochs}",
            leave=False,
            disable=not (session.is_main and sys.stderr.isatty()),
        )
        yield from self.bar

    def show(self, log: EpochLog, number: int) -> None:
        """Put the running mean loss, the last validation score and the time that the fold still takes on the bar.

        Every tenth batch, since reading the loss makes a GPU wait. The bar itself tells the epoch's time. After the
        first batches, once, a line tells what all of it will take.
        """
        if self.stopwatch is not None and (pace := self.stopwatch.lap()) is not None:
            self.tell(self._forecast(pace))
        if self.bar is None or self.bar.disable or number % 10:
            return
        shown = {"loss": f"{log.means()['loss']:.4f}"}
        metric = self.session.metric.name
        scores = [row[f"valid_{metric}"] for row in self.session.history if row[f"valid_{metric}"] is not None]
        if scores:
            shown[metric] = f"{scores[-1]:.4f}"
        done = self.session.epoch - 1 + number / self.session.length.batches_per_epoch
        self.bar.set_postfix(shown | {"fold": f"{self._left(done)} left"})

    def epoch_done(self, row: dict[str, Any]) -> None:
        """Keep the row, write the table, tell trackers and the user."""
        session = self.session
        if self.bar is not None:
            self.bar.close()
        session.history.append(row)
        self.tell(self._line(row))
        numbers = {name: value for name, value in row.items() if isinstance(value, (int, float))}
        session.accelerator.log(numbers, step=session.step)
        if session.is_main:
            write_epochs(session.fold, session.history)

    def close(self) -> None:
        """Flush the trackers. The processes stay connected: another fold may follow."""
        for tracker in self.session.accelerator.trackers:
            tracker.finish()

    def _line(self, row: dict[str, Any]) -> str:
        session = self.session
        terms = " ".join(f"{n} {v:.4f}" for n, v in row.items() if is_term(n))
        score = row[f"valid_{session.metric.name}"]
        validation = ""
        if score is not None:
            validation = f" | {session.metric.name} {score:.4f}" + (" (best)" if score == row["best"] else "")
        seconds = time.monotonic() - self.epoch_started
        return (
            f"fold {session.fold.name} epoch {row['epoch']}/{session.length.epochs}: loss {row['loss']:.4f} ({terms})"
            f"{validation} | lr {row['lr']:.2e} | {seconds:.0f} s, {self._left(session.epoch)} left"
        )

    def _left(self, epochs: float) -> str:
        """Time for the epochs to come, at the pace of those that are done, and for what follows the last one."""
        session, length = self.session, self.session.length
        done = min(epochs, length.whole_epochs)
        epoch = session.elapsed() / done
        pace = replace(session.pace, batch=epoch / length.batches_per_epoch)
        return duration(epoch * (length.whole_epochs - done) + self.work.end(pace))

    def _start_stopwatch(self, first: int) -> Stopwatch:
        """One that looks at this epoch's first batches, and makes a GPU wait four times."""
        session = self.session
        device = session.accelerator.device
        left = (session.length.steps - session.step) * session.config.train.accumulate
        stopwatch = Stopwatch(
            min(MEASURED, session.length.batches_per_epoch - first, left),
            settle=partial(wait_for, device),
        )
        stopwatch.start()
        return stopwatch

    def _forecast(self, batch: float) -> str:
        """What seconds per batch mean for the epoch, the fold and all folds."""
        train = self.session.config.train
        most = " at most" if train.max_hours is not None or train.early_stop is not None else ""
        forecast = self.work.forecast(replace(self.session.pace, batch=batch))
        return f"fold {self.session.fold.name}: {batch:.2g} s per batch; {forecast}{most}"
