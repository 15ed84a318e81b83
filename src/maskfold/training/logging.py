"""What training tells: a bar or plain lines, ``metrics.csv``, and the trackers that the config names."""

import sys
import time
from collections.abc import Iterable, Iterator
from typing import Any

import pandas as pd
import torch
from accelerate import Accelerator
from tqdm import tqdm

from maskfold.files import atomic_path
from maskfold.training.session import Session


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
            means[name] = float(accelerator.reduce(mean, reduction="mean") if accelerator else mean)
        return means


class RunLog:
    """The log of one fold's training. Only the main process speaks and writes."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.bar: tqdm | None = None
        self.epoch_started = time.monotonic()
        if session.config.train.trackers:
            session.accelerator.init_trackers("tracker", config={"run": session.run.name, "fold": session.fold.name})
        if session.epoch:
            self.say(f"fold {session.fold.name}: going on after epoch {session.epoch} of {session.total_epochs}")

    def say(self, text: str) -> None:
        """One line for the user."""
        if self.session.is_main:
            tqdm.write(text)
            sys.stdout.flush()

    def batches(self, loader: Iterable[dict]) -> Iterator[dict]:
        """The epoch's batches, behind a bar where the output is a terminal."""
        session = self.session
        self.epoch_started = time.monotonic()
        self.bar = tqdm(
            loader,
            total=session.batches_per_epoch,
            desc=f"fold {session.fold.name} epoch {session.epoch}/{session.total_epochs}",
            leave=False,
            disable=not (session.is_main and sys.stderr.isatty()),
        )
        yield from self.bar

    def show(self, log: EpochLog, number: int) -> None:
        """Put the running mean loss, the last validation score and the time that is left for all epochs on the bar.

        Every tenth batch, since reading the loss makes a GPU wait. The bar itself tells the epoch's time.
        """
        if self.bar is None or self.bar.disable or number % 10:
            return
        shown = {"loss": f"{log.means()['loss']:.4f}"}
        metric = self.session.metric.name
        judged = [row[f"valid_{metric}"] for row in self.session.history if row[f"valid_{metric}"] is not None]
        if judged:
            shown[metric] = f"{judged[-1]:.4f}"
        done = self.session.epoch - 1 + number / self.session.batches_per_epoch
        self.bar.set_postfix(shown | {"all epochs": f"{self._left(done)} left"})

    def epoch_done(self, row: dict[str, Any]) -> None:
        """Keep the row, write the table, tell trackers and the user."""
        session = self.session
        if self.bar is not None:
            self.bar.close()
        session.history.append(row)
        self.say(self._line(row))
        numbers = {name: value for name, value in row.items() if isinstance(value, (int, float))}
        session.accelerator.log(numbers, step=session.step)
        if session.is_main:
            with atomic_path(session.fold.metrics_path) as temporary:
                pd.DataFrame(session.history).to_csv(temporary, index=False)

    def close(self) -> None:
        """Flush the trackers. The processes stay connected: another fold may follow."""
        for tracker in self.session.accelerator.trackers:
            tracker.finish()

    def _line(self, row: dict[str, Any]) -> str:
        session = self.session
        terms = " ".join(f"{n} {v:.4f}" for n, v in row.items() if n not in _NOT_TERMS and not n.startswith("valid_"))
        score = row[f"valid_{session.metric.name}"]
        judged = ""
        if score is not None:
            judged = f" | {session.metric.name} {score:.4f}" + (" (best)" if score == row["best"] else "")
        seconds = time.monotonic() - self.epoch_started
        return (
            f"fold {session.fold.name} epoch {row['epoch']}/{session.total_epochs}: loss {row['loss']:.4f} ({terms})"
            f"{judged} | lr {row['lr']:.2e} | {seconds:.0f} s, {self._left(session.epoch)} left"
        )

    def _left(self, epochs: float) -> str:
        """Time for the epochs to come, at the pace of those that are done."""
        return duration(self.session.elapsed() / epochs * (self.session.total_epochs - epochs))


_NOT_TERMS = {"epoch", "step", "lr", "loss", "best"}


def duration(seconds: float) -> str:
    """A length of time for people: ``45 s``, ``12 min``, ``3.5 h``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
