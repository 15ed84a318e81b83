"""Texts on their way to a file whose order is another: they wait on the disk, not in memory."""

import tempfile
from collections.abc import Hashable, Sequence
from pathlib import Path
from types import TracebackType

from maskfold.files import make_folder, writable


class Spool:
    """Context manager: lists of texts without line breaks, by key, in a file without a name that goes when it is left.

    Args:
        path: what is being made; the file is on the same disk, so that there is room for both or for neither.

    Raises:
        StorageError: there is no room beside ``path``, or nothing can be written there.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._places: dict[Hashable, tuple[int, int]] = {}
        self._end = 0

    def __enter__(self) -> "Spool":
        with writable(self.path):
            make_folder(self.path.parent)
            self._file = tempfile.TemporaryFile(dir=self.path.parent)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def __contains__(self, key: Hashable) -> bool:
        return key in self._places

    def add(self, key: Hashable, texts: Sequence[str]) -> None:
        """Keep at least one text under a key that is not there yet; to be called before the first `texts`."""
        data = "\n".join(texts).encode()
        with writable(self.path):
            self._file.write(data)
        self._places[key] = self._end, len(data)
        self._end += len(data)

    def texts(self, key: Hashable) -> list[str]:
        """What was kept under a key."""
        begin, length = self._places[key]
        with writable(self.path):  # what is still in the file's buffer is written now
            self._file.seek(begin)
            return self._file.read(length).decode().split("\n")
