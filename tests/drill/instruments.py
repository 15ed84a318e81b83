"""What is done to a process before its command: it counts, dies, or finds its disk full or its clock wrong."""

import builtins
import errno
import io
import os
import random
import resource
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

# Every change of the disk that is to last ends with one of them.
CHANGES = ("replace", "fsync", "unlink")


def _around(call: Callable[[int, bool], None]) -> None:
    """Call ``call(number, after)`` before and after each change."""
    numbers = iter(range(1, 10**9))
    owner = os.getpid()

    def wrap(name: str) -> None:
        original = getattr(os, name)

        def wrapped(*arguments: object, **options: object) -> object:
            if os.getpid() != owner:
                return original(*arguments, **options)
            number = next(numbers)
            call(number, False)
            try:
                return original(*arguments, **options)
            finally:
                call(number, True)

        setattr(os, name, wrapped)

    for name in CHANGES:
        wrap(name)


def count_calls(into: Path) -> Callable[[], None]:
    """Write down how many changes there were so far."""

    def prepare() -> None:
        opened = os.open(into, os.O_WRONLY | os.O_CREAT)
        _around(lambda number, after: None if after else os.pwrite(opened, f"{number}".encode(), 0) and None)

    return prepare


def dies_at(number: int, chance: random.Random) -> Callable[[], None]:
    """Die before or after the ``number``-th change."""
    late = chance.random() < 0.5

    def die(count: int, after: bool) -> None:
        if count == number and after == late:
            os.kill(os.getpid(), signal.SIGKILL)

    return lambda: _around(die)


def small_files(most: int) -> Callable[[], None]:
    """No file may become larger than so many bytes."""
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))


def unreadable(path: Path) -> Callable[[], None]:
    """The disk has this file, but cannot read it any more; what is written in its place can be read."""

    def prepare() -> None:
        original, held = builtins.open, os.open(path, os.O_RDONLY)  # held, so that no other file gets its number

        def opened(file: Any, *given: Any, **named: Any) -> Any:
            stream = original(file, *given, **named)
            if stream.readable() and os.path.samestat(os.fstat(stream.fileno()), os.fstat(held)):
                stream.close()
                raise OSError(errno.EIO, "Input/output error", str(file))
            return stream

        builtins.open = io.open = opened

    return prepare


def wrong_clock(seed: int) -> Callable[[], None]:
    """The clock of the day jumps by days in both directions, the one that only counts on jumps on by minutes."""

    def prepare() -> None:
        chance, real, steady = random.Random(seed), time.time, time.monotonic
        shift = {"day": 0.0, "steady": 0.0}

        def day() -> float:
            if chance.random() < 0.1:
                shift["day"] = chance.uniform(-3e5, 3e5)
            return real() + shift["day"]

        def count() -> float:
            if chance.random() < 0.02:
                shift["steady"] += chance.uniform(0, 300)
            return steady() + shift["steady"]

        time.time, time.monotonic = day, count

    return prepare
