"""One process at a time per fold."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from maskfold.errors import RunError


@contextmanager
def exclusive(folder: Path) -> Iterator[None]:
    """Hold ``folder/.lock``; the system frees it when the process ends, however it ends.

    Raises:
        RunError: another process holds it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise RunError(
            f"another process is working on {folder}: wait for it, or choose another fold or --name"
        ) from None
    try:
        yield
    finally:
        lock.release()
