"""Places of fixed size in memory that processes share, each with the digest of what it was made of."""

import mmap
import os
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from maskfold.errors import ConfigError

KEY = 16  # bytes of a digest
SLOT = KEY + 4 + 64  # bytes that a slot takes beside its content, at most


class Slots:
    """Bytes under a number and a key. What was stored under another key is not there.

    In memory without a name, which data workers that are forked share with the process that made it (others, on
    Windows and macOS, have one each); or in a file that all processes share and that stays.
    A slot is filled before its key is written, and files, which a crash may leave half written, have a checksum that
    every process looks at once.
    """

    def __init__(self, sizes: Sequence[int], path: Path | None = None) -> None:
        """See the class.

        Args:
            sizes: bytes of each slot.
            path: the file; it is made where it is not there, or has another length. None: in memory.

        Raises:
            ConfigError: the disk has no room.
        """
        self.path, self.count = path, len(sizes)
        keys = len(sizes) * (KEY + 4)
        aligned = [-(-size // 64) * 64 for size in sizes]
        self._ends = np.cumsum([-(-keys // 64) * 64, *aligned]).tolist()
        self._sizes = list(sizes)
        self._attach()

    def __getstate__(self) -> dict[str, Any]:
        return {
            name: value for name, value in self.__dict__.items() if name not in ("_bytes", "_keys", "_sums", "_seen")
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._attach()

    @property
    def total(self) -> int:
        """Bytes of all slots."""
        return self._ends[-1]

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
        """Store bytes, uint8 arrays one after the other, which fill the slot."""
        self._keys[number] = 0
        slot, at = self._slot(number), 0
        for part in parts:
            slot[at : at + part.size] = part.reshape(-1)
            at += part.size
        if self.path is not None:
            self._sums[number] = zlib.crc32(slot.data)
        self._keys[number] = np.frombuffer(key, np.uint8)

    def _slot(self, number: int) -> np.ndarray:
        return self._bytes[self._ends[number] : self._ends[number] + self._sizes[number]]

    def _attach(self) -> None:
        if self.path is None:
            shared = mmap.mmap(-1, max(1, self.total))
            self._bytes = np.frombuffer(shared, np.uint8)
        else:
            self._bytes = np.memmap(_allocated(self.path, max(1, self.total)), np.uint8, mode="r+")
        self._keys = self._bytes[: self.count * KEY].reshape(self.count, KEY)
        self._sums = self._bytes[self.count * KEY : self.count * (KEY + 4)].view("<u4")
        self._seen = np.zeros(self.count, bool)


def _allocated(path: Path, size: int) -> Path:
    """The file with room for all of it: to find a full disk while it is written would end the process."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        if os.fstat(handle).st_size != size:
            os.ftruncate(handle, 0)
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(handle, 0, size)
            else:
                os.ftruncate(handle, size)
    except OSError as error:
        path.unlink(missing_ok=True)
        raise ConfigError(
            f"{path} needs {size / 2**30:.1f} GiB, which could not be had ({error.strerror}): set data.cache_gib "
            "lower, or data.cache to memory or none"
        ) from None
    finally:
        os.close(handle)
    return path
