"""Arrays of a raster's size that are on disk while they are worked on, and in memory by parts."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from maskfold.files import UNFINISHED
from maskfold.rasters.resampling import Part, Size


class DiskArray:
    """An array (C, H, W) in a file. What is read and written is copied, so that no more of it stays in memory."""

    def __init__(self, path: Path, channels: int, size: Size, dtype: type[np.generic]) -> None:
        """Make the file, which holds zeros."""
        self.path, self.shape, self.dtype = path, (channels, *size), np.dtype(dtype)
        self._open("w+")

    @property
    def size(self) -> Size:
        """(H, W)."""
        return self.shape[1], self.shape[2]

    def read(self, part: Part) -> np.ndarray:
        """A window (C, h, w)."""
        return np.array(self._open("r")[:, *part])

    def write(self, part: Part, values: np.ndarray) -> None:
        """Write a window (C, h, w)."""
        self._open("r+")[:, *part] = values

    def _open(self, mode: str) -> np.memmap:
        return np.memmap(self.path, self.dtype, mode, shape=self.shape)  # pyright: ignore[reportCallIssue, reportArgumentType]


@contextmanager
def scratch_folder(beside: Path) -> Iterator[Path]:
    """A folder for such files, on the disk that ``beside`` is or will be on; removed afterwards."""
    beside.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=f".{beside.stem}.{UNFINISHED}", dir=beside.parent) as folder:
        yield Path(folder)
