"""Where runs keep their files: string keys and whole contents, so that a folder is one place among others.

A key is a relative path with forward slashes, ``fold_0/best.safetensors``; no part of it begins with a dot. A *prefix*
is a key or a folder of keys: ``fold_1`` means ``fold_1`` itself and ``fold_1/…``, never ``fold_10``; the empty one
means everything.
"""

import os
import shutil
from pathlib import Path
from typing import Protocol

from maskfold.errors import StorageError
from maskfold.files import atomic_path


class Storage(Protocol):
    """What a place must be able to do. What is not a key raises a `StorageError`."""

    def read(self, key: str, start: int | None = None, end: int | None = None) -> bytes:
        """The content of ``key``, or its bytes ``start:end``.

        Raises:
            FileNotFoundError: nothing was published under this key.
        """
        ...

    def publish(self, key: str, content: bytes) -> None:
        """Make ``content`` what `read` gives: readers see the former content or all of the new one, never a part."""
        ...

    def list(self, prefix: str = "") -> list[str]:
        """All keys of a prefix, sorted."""
        ...

    def exists(self, key: str) -> bool:
        """Whether something was published under ``key``."""
        ...

    def remove(self, prefix: str) -> None:
        """Remove all keys of a prefix; there need not be any."""
        ...

    def size(self, prefix: str = "") -> int:
        """Bytes of all contents of a prefix together."""
        ...


class LocalStorage:
    """Files below the folder ``root``, which is made with the first content. Hidden files are not its own."""

    def __init__(self, root: Path) -> None:
        self.root = Path(root)

    def read(self, key: str, start: int | None = None, end: int | None = None) -> bytes:
        with open(self.root / checked_key(key), "rb") as file:
            file.seek(start or 0)
            return file.read() if end is None else file.read(max(0, end - file.tell()))

    def publish(self, key: str, content: bytes) -> None:
        with atomic_path(self.root / checked_key(key)) as temporary:
            temporary.write_bytes(content)

    def list(self, prefix: str = "") -> list[str]:
        place = self.root / checked_key(prefix) if prefix else self.root
        if place.is_file():
            return [prefix]
        found = []
        for folder, folders, files in os.walk(place):
            folders[:] = [name for name in folders if not name.startswith(".")]
            start = Path(folder).relative_to(self.root).as_posix()
            names = [name for name in files if not name.startswith(".")]
            found += names if start == "." else [f"{start}/{name}" for name in names]
        return sorted(found)

    def exists(self, key: str) -> bool:
        return (self.root / checked_key(key)).is_file()

    def remove(self, prefix: str) -> None:
        place = self.root / checked_key(prefix) if prefix else self.root
        if place.is_dir():
            shutil.rmtree(place)
        else:
            place.unlink(missing_ok=True)

    def size(self, prefix: str = "") -> int:
        return sum((self.root / key).stat().st_size for key in self.list(prefix))


def checked_key(key: str) -> str:
    """``key`` itself.

    Raises:
        StorageError: it is absolute, or a part of it is empty, begins with a dot or holds a backslash, colon or NUL.
    """
    for part in str(key).split("/"):
        if not part or part.startswith(".") or set(part) & set("\\:\0"):
            raise StorageError(
                f"the key is {key!r}: expected a relative path with forward slashes, whose parts are not empty, do not "
                "begin with a dot and hold no backslash and no colon"
            )
    return key
