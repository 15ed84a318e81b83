"""Files are written whole or not at all."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; on success it becomes ``path``, on an exception it is removed.

    The content is flushed to the disk before the rename, so that after a power cut ``path`` is either the
    old file or the new one. Parent folders are made. The temporary name keeps the suffix, for writers that
    choose a format by it.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}.", suffix=path.suffix)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        with open(temporary, "rb") as written:
            os.fsync(written.fileno())
        # mkstemp makes files for the owner only; users expect what their umask gives.
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def cache_folder() -> Path:
    """Where is kept what can be had again: ``MASKFOLD_CACHE``, else ``maskfold`` in the user's folder for caches."""
    own = os.environ.get("MASKFOLD_CACHE")
    return Path(own) if own else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "maskfold"


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current
