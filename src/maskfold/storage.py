"""Where runs keep their files: string keys and whole contents, so that a folder is one place among others.

A key is a relative path with forward slashes, ``fold_0/best.safetensors``; no part of it begins with a dot. A *prefix*
is a key or a folder of keys: ``fold_1`` means ``fold_1`` itself and ``fold_1/…``, never ``fold_10``; the empty one
means everything.

A place is a folder, or a URL that fsspec knows: ``s3://bucket/runs/demo``, ``gs://…``, ``memory://…``. A `Path` of a
URL has one slash after the colon, ``s3:/bucket/runs/demo``, and means the same.
"""

import errno
import os
import re
import secrets
import shutil
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from maskfold.errors import StorageError
from maskfold.files import UNFINISHED, sweep, sync_folder, write_file


class Storage(Protocol):
    """What a place must be able to do. What is not a key raises a `StorageError`."""

    def read(self, key: str, start: int | None = None, end: int | None = None) -> bytes:
        """The content of ``key``, or its bytes ``start:end``.

        Raises:
            FileNotFoundError: nothing was published under this key.
            StorageError: the disk has it, but cannot read it.
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

    def move(self, key: str, to: str) -> None:
        """Let what was published under ``key`` be found under ``to`` instead, in the place of what was there."""
        ...

    def sweep(self, folder: str = "") -> None:
        """Remove what a killed `publish` left right in a folder of keys; nobody may be writing there."""
        ...

    def size(self, prefix: str = "") -> int:
        """Bytes of all contents of a prefix together."""
        ...


class LocalStorage:
    """Files below the folder ``root``, which is made with the first content. Hidden files are not its own."""

    def __init__(self, root: Path) -> None:
        self.root = Path(root)

    def read(self, key: str, start: int | None = None, end: int | None = None) -> bytes:
        path = self.root / checked_key(key)
        try:
            with open(path, "rb") as file:
                file.seek(start or 0)
                return file.read() if end is None else file.read(max(0, end - file.tell()))
        except OSError as error:
            if error.errno != errno.EIO:
                raise
        raise StorageError(f"{path} cannot be read, the disk fails (input/output error): restore it from a copy")

    def publish(self, key: str, content: bytes) -> None:
        write_file(self.root / checked_key(key), content)

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
        if place.parent.is_dir():
            sync_folder(place.parent)

    def move(self, key: str, to: str) -> None:
        new = self.root / checked_key(to)
        os.replace(self.root / checked_key(key), new)
        sync_folder(new.parent)

    def sweep(self, folder: str = "") -> None:
        sweep(self.root / checked_key(folder) if folder else self.root)

    def size(self, prefix: str = "") -> int:
        total = 0
        for key in self.list(prefix):
            with suppress(FileNotFoundError):  # a training that runs replaces its states
                total += (self.root / key).stat().st_size
        return total


class Content(NamedTuple):
    """Of what is stored: bytes, and the store's mark of it, another one after it was written again."""

    size: int
    mark: str


class FsspecStorage:
    """Keys below a URL. Whole objects appear at once: by one upload where a store works so, else by a rename.

    Raises:
        StorageError: fsspec, or the package that it needs for this kind of URL, is not installed; or the store refuses.
    """

    # A store of objects shows an upload when it is complete, and not before.
    WHOLE = ("s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "memory")
    # What stores call a content's checksum, or where they have none the time at which it was written.
    MARKS = ("ETag", "etag", "md5Hash", "content_md5", "mtime", "LastModified", "last_modified", "created")

    def __init__(self, url: str) -> None:
        self.url = url
        try:
            import fsspec

            # What other machines write must be seen: nothing that was listed is remembered.
            self._system, root = fsspec.url_to_fs(url, use_listings_cache=False)
        except (ImportError, ValueError) as error:
            reason = " ".join(str(error).split())
            raise StorageError(
                f"{url} cannot be opened ({reason}): pip install 'maskfold[storage]', or give a folder"
            ) from None
        self._root = root.rstrip("/")
        protocols = self._system.protocol
        names = (protocols,) if isinstance(protocols, str) else protocols
        self._whole = any(name in self.WHOLE for name in names)

    def __reduce__(self) -> tuple[type["FsspecStorage"], tuple[str]]:
        return FsspecStorage, (self.url,)

    def read(self, key: str, start: int | None = None, end: int | None = None) -> bytes:
        place = self._place(key)
        if start is None and end is None:
            return self._system.cat_file(place)
        last = self._system.size(place) or 0
        first, last = start or 0, last if end is None else min(end, last)
        return self._system.cat_file(place, start=first, end=last) if first < last else b""

    def publish(self, key: str, content: bytes) -> None:
        place = self._place(key)
        if self._whole:
            self._system.pipe_file(place, content)
            return
        folder, _, name = place.rpartition("/")
        self._system.makedirs(folder, exist_ok=True)
        temporary = f"{folder}/.{name}.{UNFINISHED}{secrets.token_hex(6)}"
        self._system.pipe_file(temporary, content)
        self._system.mv(temporary, place)

    def list(self, prefix: str = "") -> list[str]:
        return sorted(self._found(prefix))

    def exists(self, key: str) -> bool:
        return bool(self._system.isfile(self._place(key)))

    def remove(self, prefix: str) -> None:
        for key in self._found(checked_key(prefix)):
            self._system.rm_file(self._place(key))

    def move(self, key: str, to: str) -> None:
        self._system.mv(self._place(key), self._place(to))

    def sweep(self, folder: str = "") -> None:
        if self._whole:
            return
        self._system.invalidate_cache()
        for name in self._system.find(self._place(folder) if folder else self._root, maxdepth=1):
            if re.match(rf"\..*\.{UNFINISHED}", name.rpartition("/")[2]):
                self._system.rm_file(name)

    def size(self, prefix: str = "") -> int:
        return sum(content.size for content in self._found(prefix).values())

    def contents(self) -> dict[str, Content]:
        """How all that is stored stands, by key."""
        return self._found("")

    def fetch(self, keys: Sequence[str], folder: Path) -> None:
        """Write contents to files below ``folder``, several at a time where the store can, none of them in memory."""
        paths = [folder / checked_key(key) for key in keys]
        for parent in {path.parent for path in paths}:
            parent.mkdir(parents=True, exist_ok=True)
        self._system.get([self._place(key) for key in keys], [str(path) for path in paths])

    def _found(self, prefix: str) -> dict[str, Content]:
        place = self._place(prefix) if prefix else self._root
        self._system.invalidate_cache()
        found: dict[str, Any] = self._system.find(place, detail=True)
        keys = {name[len(self._root) :].lstrip("/"): facts for name, facts in found.items()}
        return {
            key: Content(int(facts["size"] or 0), str(next((facts[name] for name in self.MARKS if name in facts), "")))
            for key, facts in keys.items()
            if not any(part.startswith(".") for part in key.split("/"))
        }

    def _place(self, key: str) -> str:
        return f"{self._root}/{checked_key(key)}"


def url_of(path: Path | str) -> str | None:
    """The URL that a path means; None: it is a folder of this machine."""
    found = re.match(r"([a-z][a-z0-9+.-]+):/+(.*)", str(path))
    if found is None:
        return None
    root = "/" if found[1] in ("file", "local") else ""  # after the host's name, of which there is none
    return f"{found[1]}://{root}{found[2]}"


def open_storage(path: Path) -> Storage:
    """The storage of a folder or a URL; nothing is made yet.

    Raises:
        StorageError: see `FsspecStorage`.
    """
    url = url_of(path)
    return LocalStorage(path) if url is None else FsspecStorage(url)


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
