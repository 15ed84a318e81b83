"""One process at a time per fold."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from maskfold.errors import RunError


@contextmanager
def exclusive(folder: Path) -> Iterator[None]:
    """Hold ``folder/.lock``; the system frees it when the process ends, however it ends.

    Raises:
        RunError: another process holds it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / ".lock", "w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RunError(
                f"another process is working on {folder}: wait for it, or choose another fold or --name"
            ) from None
        yield
