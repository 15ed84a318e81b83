"""One process at a time."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from maskfold.errors import BusyError


@contextmanager
def exclusive(file: Path, what: object) -> Iterator[None]:
    """Hold the lock ``file``; the system frees it when the process ends, however it ends.

    Raises:
        BusyError: another process holds it, and so is working on ``what``.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(file)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise BusyError(
            f"another process is working on {what}: wait for it, or choose another fold or --name"
        ) from None
    try:
        yield
    finally:
        lock.release()
