"""Files are written whole or not at all."""

import ctypes
import errno
import hashlib
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from maskfold.errors import StorageError

# How files are called that are being written: a kill leaves them behind, and `sweep` knows them by it.
UNFINISHED = "tmp-"
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
UNWRITABLE = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST, errno.EISDIR)


@contextmanager
def atomic_path(path: Path, *, size: int | None = None, durable: bool = True) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; on success it becomes ``path``, on an exception it is removed.

    The content and the folder are flushed to the disk, so that after a power cut ``path`` is either the old file or
    the new one, and the new one for good once this has returned. Parent folders are made. The temporary name keeps the
    suffix, for writers that choose a format by it.

    Args:
        path: the file.
        size: bytes that will be written, where they are known, for the message of a full disk.
        durable: flush now; False: one of many files that `FileBatch` flushes before they count.

    Raises:
        StorageError: the disk is full, or the place cannot be written to.
    """
    path = Path(path)
    with writable(path):
        make_folder(path.parent)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}.{UNFINISHED}", suffix=path.suffix)
    os.close(handle)
    temporary = Path(name)
    try:
        with _room(path, temporary, size):
            yield temporary
            if durable:
                _flush(temporary)
        # mkstemp makes files for the owner only; users expect what their umask gives.
        os.chmod(temporary, 0o666 & ~_umask())
        with writable(path):
            os.replace(temporary, path)
        if durable:
            sync_folder(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def write_file(path: Path, content: str | bytes) -> None:
    """Write a file whole, see `atomic_path`; text as UTF-8.

    Raises:
        StorageError: as there.
    """
    data = content.encode("utf-8") if isinstance(content, str) else content
    with atomic_path(path, size=len(data)) as temporary:
        temporary.write_bytes(data)


def allocate(handle: int, size: int) -> None:
    """Give an open file ``size`` bytes at least, zeros where it had none, which the disk has room for, if it can say.

    Raises:
        OSError: it has not.
    """
    held = os.fstat(handle).st_size
    if held < size and hasattr(os, "posix_fallocate"):
        os.posix_fallocate(handle, held, size - held)
    elif held < size:
        os.ftruncate(handle, size)


@contextmanager
def scratch_folder(beside: Path) -> Iterator[Path]:
    """A folder for what is needed while ``beside`` is made, on its disk; removed afterwards, after a kill by `sweep`.

    Raises:
        StorageError: the place cannot be written to.
    """
    with writable(beside):
        make_folder(beside.parent)
        made = tempfile.TemporaryDirectory(prefix=f".{beside.stem}.{UNFINISHED}", dir=beside.parent)
    with made as folder:
        yield Path(folder)


def make_folder(folder: Path) -> None:
    """Make a folder and those around it, each flushed to the disk."""
    if not folder.is_dir():
        make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        sync_folder(folder.parent)


def sync_folder(folder: Path) -> None:
    """Flush the names in a folder to the disk, where the system can."""
    if os.name == "nt":
        return
    with suppress(OSError):  # some network file systems refuse, and a folder may be one to write into alone
        opened = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(opened)
        finally:
            os.close(opened)


class FileBatch:
    """Files that count together: each is written whole, and all are flushed at once before something relies on them."""

    def __init__(self) -> None:
        self._written: list[Path] = []

    @contextmanager
    def path(self, path: Path) -> Iterator[Path]:
        """`atomic_path` of one of the files.

        Raises:
            StorageError: as there.
        """
        with atomic_path(path, durable=False) as temporary:
            yield temporary
        self._written.append(path)

    def sync(self) -> None:
        """Flush the files that were written since the last time, and then their folders, to the disk.

        Raises:
            StorageError: the disk is full.
        """
        for path in self._written:
            with writable(path):
                _flush(path)
        for folder in sorted({path.parent for path in self._written}):
            sync_folder(folder)
        self._written.clear()


def _flush(path: Path) -> None:
    with open(path, "r+b") as written:  # Windows flushes only what may be written to
        os.fsync(written.fileno())


def exchange_folder(new: Path, path: Path) -> None:
    """Let the folder ``new`` be ``path``; what was there is removed.

    On Linux both change places at once, so that there is always one or the other; elsewhere it takes two renames.
    """
    if path.exists() and not _exchanged(new, path):
        os.replace(path, former := new.with_name(f"{new.name}f"))
        os.replace(new, path)
        new = former
    elif not path.exists():
        os.replace(new, path)
    sync_folder(path.parent)
    shutil.rmtree(new, ignore_errors=True)


def _exchanged(one: Path, other: Path) -> bool:
    """Let two names change places; False where the system cannot."""
    if not sys.platform.startswith("linux"):
        return False
    try:
        rename = ctypes.CDLL(None).renameat2
    except (OSError, AttributeError):  # an old C library
        return False
    return rename(-100, os.fsencode(one.absolute()), -100, os.fsencode(other.absolute()), 2) == 0


def sweep(folder: Path, name: str = "") -> None:
    """Remove what writers that were killed left in a folder; nobody may be writing there.

    Args:
        folder: need not be there.
        name: only what was to become a file of this name; empty: everything.
    """
    stem = re.escape(Path(name).stem) if name else ".*"
    for path in sorted(folder.glob(".*")):
        if re.fullmatch(rf"\.{stem}\.{UNFINISHED}\w+(\..*)?", path.name):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)


@contextmanager
def writable(path: Path, *, size: int | None = None) -> Iterator[None]:
    """Inside, what keeps ``path`` from being written, ``size`` bytes of it, is told as a `StorageError`."""
    try:
        yield
    except OSError as error:
        if error.errno in FULL:
            raise _full(path, error, size) from None
        if error.errno not in UNWRITABLE:
            raise
        raise StorageError(
            f"{path} cannot be written ({error.strerror}): make the folder writable, or choose another place"
        ) from None


@contextmanager
def _room(path: Path, temporary: Path, size: int | None) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in FULL:
            raise
        so_far = temporary.stat().st_size if temporary.exists() else 0
        temporary.unlink(missing_ok=True)
        raise _full(path, error, size or so_far) from None


def _full(path: Path, error: OSError, size: int | None) -> StorageError:
    place = next(folder for folder in path.absolute().parents if folder.is_dir())
    needs = "needs room" if size is None else f"needs {size:,} bytes"
    if error.errno == errno.EFBIG:
        return StorageError(f"{path} {needs}, more than this system lets a file have: raise the limit (ulimit -f)")
    return StorageError(
        f"the disk is full: {path} {needs}, and {shutil.disk_usage(place).free:,} are free ({error.strerror}): make "
        "room, then give the same command again"
    )


def file_digest(path: Path) -> str:
    """SHA-256 of a file, as hex."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def cache_folder() -> Path:
    """Where is kept what can be had again: ``MASKFOLD_CACHE``, else ``maskfold`` in the user's folder for caches.

    That is ``.cache`` in the current folder for a user without a home, as in some containers.
    """
    if own := os.environ.get("MASKFOLD_CACHE"):
        return Path(own)
    if caches := os.environ.get("XDG_CACHE_HOME"):
        return Path(caches) / "maskfold"
    try:
        home = Path.home()
    except RuntimeError:
        home = Path()
    return home / ".cache" / "maskfold"


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current
