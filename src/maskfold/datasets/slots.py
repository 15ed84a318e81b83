"""Places of fixed size in memory that processes share, each with the digest of what it was made of."""

import mmap
import os
import weakref
import zlib
from bisect import bisect_right
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from maskfold.errors import ConfigError
from maskfold.files import allocate
from maskfold.locks import exclusive

KEY = 16  # bytes of a digest
HEAD = KEY + 4  # bytes that a slot takes at the beginning, whether it is held or not
ALIGNED = 64  # slots begin at multiples of it


class Slots:
    """Bytes under a number and a key. What was stored under another key is not there.

    In memory without a name, which data workers that are forked share with the process that made it (others, on
    Windows and macOS, have one each); or in a file that all processes share and that stays.
    A slot is filled before its key is written, and files, which a crash may leave half written, have a checksum that
    every process looks at once.

    Attributes:
        count: of slots that are held, from the first on.
    """

    def __init__(self, sizes: Sequence[int], path: Path | None = None, *, count: int | None = None) -> None:
        """See the class.

        Args:
            sizes: bytes of each slot.
            path: the file; it is made where it is not there, and grows where it holds too little. It never shrinks,
                since other processes may read it. None: in memory.
            count: how many slots there is to be room for, None: all. A file that holds more keeps them.

        Raises:
            ConfigError: the disk has no room.
        """
        self.path, self.count = path, len(sizes) if count is None else count
        lengths = np.array([len(sizes) * HEAD, *sizes], np.int64)
        self._ends = (-(-lengths // ALIGNED) * ALIGNED).cumsum().tolist()
        self._sizes = list(sizes)
        self._attach()

    def __getstate__(self) -> dict[str, Any]:
        return {
            name: value
            for name, value in self.__dict__.items()
            if name not in ("_file", "_bytes", "_keys", "_sums", "_seen")
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._attach()

    def read(self, number: int, key: bytes) -> np.ndarray | None:
        """What was stored, uint8, not to be written to; None: nothing, or under another key."""
        if self._keys[number].tobytes() != key:
            return None
        found = self._slot(number)
        if self.path is not None and not self._seen[number]:
            if zlib.crc32(found.data) != self._sums[number]:
                return None
            self._seen[number] = True
        found.flags.writeable = False
        return found

    def write(self, number: int, key: bytes, parts: Sequence[np.ndarray]) -> None:
        """Store bytes, contiguous uint8 arrays one after the other, for which the slot has room."""
        self._keys[number] = 0
        at = self._ends[number]
        for part in parts:
            self._fill(at, part.reshape(-1))
            at += part.size
        if self.path is not None:
            self._sums[number] = zlib.crc32(self._slot(number).data)
        self._keys[number] = np.frombuffer(key, np.uint8)

    def _fill(self, at: int, part: np.ndarray) -> None:
        if self._file is None or not hasattr(os, "pwrite"):
            self._bytes[at : at + part.size] = part
            return
        # Pages that are written by a call are neither cleared first nor faulted in one by one: half of the time.
        while part.size:
            written = os.pwrite(self._file, part.data, at)
            part, at = part[written:], at + written

    def _slot(self, number: int) -> np.ndarray:
        return self._bytes[self._ends[number] : self._ends[number] + self._sizes[number]]

    def _attach(self) -> None:
        slots, total = len(self._sizes), max(1, self._ends[self.count])
        if self.path is None:
            file = _memory(total)
        else:
            held = self.path.stat().st_size if self.path.exists() else 0
            total = held if held >= total else _allocated(self.path, total)
            file = os.open(self.path, os.O_RDWR | getattr(os, "O_BINARY", 0))
            self.count = bisect_right(self._ends, total) - 1
        self._bytes = np.frombuffer(mmap.mmap(-1 if file is None else file, total), np.uint8)
        self._file = file
        if file is not None:
            weakref.finalize(self, os.close, file)
        self._keys = self._bytes[: slots * KEY].reshape(slots, KEY)
        self._sums = self._bytes[slots * KEY : slots * HEAD].view("<u4")
        self._seen = np.zeros(slots, bool)


def _memory(size: int) -> int | None:
    """The descriptor of memory without a name; None: the system has none, or none of this size."""
    if not hasattr(os, "memfd_create"):
        return None
    file = os.memfd_create("maskfold")
    try:
        os.ftruncate(file, size)
    except OSError:
        os.close(file)
        return None
    return file


def _allocated(path: Path, size: int) -> int:
    """The length of the file, at least ``size``, all of which has room: a full disk, found later, ends the process."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with exclusive(path.with_suffix(f"{path.suffix}.lock"), path, wait=True):
        return _grown(path, size)


def _grown(path: Path, size: int) -> int:
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    held = os.fstat(handle).st_size
    try:
        allocate(handle, size)
    except OSError as error:
        os.ftruncate(handle, held)
        if not held:
            path.unlink()
        raise ConfigError(
            f"{path} needs {size / 2**30:.1f} GiB, which could not be allocated ({error.strerror}): set data.cache_gib "
            "lower, or data.cache to memory or none"
        ) from None
    finally:
        os.close(handle)
    return max(held, size)
