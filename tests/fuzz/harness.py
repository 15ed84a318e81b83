"""Feeds a target with inputs: what is raised, how long the slowest takes, whether memory grows."""

import signal
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from random import Random

import psutil
from tests.fuzz.targets import TARGETS

PATIENCE = 10  # seconds of the processor for one input: others may need it, too
GROWTH = 64  # MiB that a process may gain after its first inputs, which fill caches
SETTLED = 2000  # inputs
MOST_FAILURES = 20  # that are kept


@dataclass
class Outcome:
    """What came of a target's inputs.

    Attributes:
        inputs: how many there were; ``accepted`` of them without an error.
        failures: (input, traceback) of what raised anything but our own errors, or took longer than `PATIENCE`.
        slowest: seconds of the processor that the slowest input took.
        grown: MiB that the process gained after the first `SETTLED` inputs.
    """

    target: str
    inputs: int = 0
    accepted: int = 0
    failures: list[tuple[bytes, str]] = field(default_factory=list)
    slowest: float = 0.0
    grown: float = 0.0

    @property
    def sound(self) -> bool:
        """Our own errors only, no hang, no growth."""
        return not self.failures and self.grown < GROWTH

    def __str__(self) -> str:
        return (
            f"{self.target}: {self.inputs:,} inputs, {self.accepted:,} accepted, {len(self.failures)} unexpected; "
            f"slowest {self.slowest:.2f} s, grown by {self.grown:.0f} MiB"
        )


class Hang(BaseException):
    """An input that takes longer than `PATIENCE`; no ``except Exception`` stops it."""


def fuzz(name: str, inputs: int, seed: int, *, report_every: int = 0) -> Outcome:
    """Feed ``inputs`` inputs to a target; the same ``seed`` gives the same ones."""
    target, outcome, random, process = TARGETS[name], Outcome(name), Random(seed), psutil.Process()
    settled = None
    for number in range(1, inputs + 1):
        data = target.make(random)
        started = time.process_time()
        try:
            with _patience():
                outcome.accepted += target.accepts(data)
        except (Exception, Hang):
            if len(outcome.failures) < MOST_FAILURES:
                outcome.failures.append((data, traceback.format_exc()))
        outcome.slowest = max(outcome.slowest, time.process_time() - started)
        outcome.inputs = number
        if number == SETTLED:
            settled = process.memory_info().rss
        if report_every and number % report_every == 0:
            print(outcome, flush=True)
    if settled is not None:
        outcome.grown = (process.memory_info().rss - settled) / (1 << 20)
    return outcome


@contextmanager
def _patience() -> Iterator[None]:
    if sys.platform == "win32":
        yield
        return
    previous = signal.signal(signal.SIGPROF, _give_up)
    signal.setitimer(signal.ITIMER_PROF, PATIENCE)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, previous)


def _give_up(*_: object) -> None:
    raise Hang
