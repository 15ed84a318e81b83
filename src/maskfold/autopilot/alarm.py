"""An end to what the autopilot does in its own process: commands are ended from outside, this is interrupted."""

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from maskfold.errors import TrainingError

LEAST = 0.01  # seconds: a timer of 0 never rings


@contextmanager
def ended_after(seconds: float) -> Iterator[None]:
    """Within it the main thread is interrupted once so many seconds are over.

    Where the system has no such timer (Windows), and in other threads, nothing is interrupted.

    Raises:
        TrainingError: the time is over.
    """
    if seconds <= 0:
        _ring()
    if not hasattr(signal, "setitimer") or threading.current_thread() is not threading.main_thread():
        yield
        return
    started, handler = time.monotonic(), signal.signal(signal.SIGALRM, _ring)
    left, interval = signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler)
        if left:  # someone else's timer goes on
            signal.setitimer(signal.ITIMER_REAL, max(LEAST, left - (time.monotonic() - started)), interval)


def _ring(number: int = 0, frame: FrameType | None = None) -> None:
    raise TrainingError("the hours were over before this was done")
