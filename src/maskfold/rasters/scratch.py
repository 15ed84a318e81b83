"""Arrays of a raster's size that are on disk while they are worked on, and in memory by parts."""

import math
from pathlib import Path

import numpy as np

from maskfold.files import allocate, writable
from maskfold.rasters.resampling import Size, Window


class DiskArray:
    """An array (C, H, W) in a file. What is read and written is copied, so that no more of it stays in memory."""

    def __init__(self, path: Path, channels: int, size: Size, dtype: type[np.generic]) -> None:
        """Make the file, which holds zeros.

        Raises:
            StorageError: the disk has no room for all of it: found later, through the mapping, it ends the process.
        """
        self.path, self.shape, self.dtype = path, (channels, *size), np.dtype(dtype)
        needed = math.prod(self.shape) * self.dtype.itemsize
        with writable(path, size=needed), path.open("wb") as file:
            allocate(file.fileno(), needed)

    @property
    def size(self) -> Size:
        """(H, W)."""
        return self.shape[1], self.shape[2]

    def read(self, window: Window) -> np.ndarray:
        """A window (C, h, w)."""
        return np.array(self._open("r")[:, *window])

    def write(self, window: Window, values: np.ndarray) -> None:
        """Write a window (C, h, w)."""
        self._open("r+")[:, *window] = values

    def _open(self, mode: str) -> np.memmap:
        return np.memmap(self.path, self.dtype, mode, shape=self.shape)  # pyright: ignore[reportCallIssue, reportArgumentType]
