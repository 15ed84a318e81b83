"""``manifest.json`` of a fold: the SHA-256 of every file that is read back, and what the training was begun with."""

import hashlib
from pathlib import Path
from typing import Any

from maskfold.errors import RunError, StorageError
from maskfold.program import command_line
from maskfold.runs.documents import read_sealed, sealed
from maskfold.storage import Storage

MANIFEST = "manifest.json"
AGAIN = "train the fold again with --overwrite"


class Manifest:
    """Writes and reads the files of a folder, each with its digest.

    A digest is written down before its file, beside that of the file which is there: killed between the two, either is
    as it should be. There is one writer at a time, who holds the fold's lock, and any number of readers.

    Args:
        storage: of the run.
        folder: key of the folder in it.
        path: where people find the folder.
    """

    def __init__(self, storage: Storage, folder: str, path: Path) -> None:
        self.storage, self.folder, self.path = storage, folder, path
        self._files: dict[str, list[str]] = {}
        self._bound: dict[str, Any] = {}
        self._text: bytes | None = None

    def publish(self, name: str, content: bytes) -> None:
        """Write a file whole, in the place of the one that was there."""
        self._load()
        digest = hashlib.sha256(content).hexdigest()
        self._note({name: [*self._files.get(name, []), digest]})
        self.storage.publish(self._key(name), content)
        self._files[name] = [digest]

    def rotate(self, name: str, older: str, content: bytes) -> None:
        """`publish`, and keep the file that was there as ``older``."""
        self._load()
        digest = hashlib.sha256(content).hexdigest()
        kept, new = self._files.get(older, []), self._files.get(name, [])
        self._note({older: [*kept, *new], name: [*new, digest]})
        if self.storage.exists(self._key(name)):
            self.storage.move(self._key(name), self._key(older))
            kept = new
        self.storage.publish(self._key(name), content)
        self._files |= {older: kept, name: [digest]}

    def read(self, name: str) -> bytes:
        """The content of a file.

        Raises:
            FileNotFoundError: there is none.
            RunError: it is damaged, or the manifest is, or does not name it.
        """
        for _ in range(2):  # somebody may be writing: once more, in this order
            content = self._content(name)
            digest = hashlib.sha256(content).hexdigest()
            if digest in self._files.get(name, []):
                return content
            self._load()
            if digest in self._files.get(name, []):
                return content
        if self._text is None:
            raise self._damaged(name, f"there is no {MANIFEST} with its checksum")
        reason = "its content is not what training wrote" if name in self._files else f"{MANIFEST} does not name it"
        raise self._damaged(name, reason)

    def settle(self, name: str) -> None:
        """`read`, and let the digest of what is there be the only one; for the writer.

        Raises:
            FileNotFoundError, RunError: as `read`.
        """
        digest = hashlib.sha256(self.read(name)).hexdigest()
        if self._files[name] != [digest]:
            self._note({name: [digest]})

    def remove(self, name: str) -> None:
        """Remove a file; there need not be any."""
        self.storage.remove(self._key(name))

    def names(self) -> list[str]:
        """All files that were written."""
        self._load()
        return sorted(self._files)

    def digest(self, name: str) -> str | None:
        """SHA-256 that a file must have, None where none was written."""
        if name not in self._files:
            self._load()
        digests = self._files.get(name)
        return digests[-1] if digests else None

    def bind(self, **facts: Any) -> None:
        """Write down what the training was begun with."""
        self._load()
        self._bound = facts
        self._note({})

    def bound(self) -> dict[str, Any]:
        """What `bind` wrote down, empty before that."""
        self._load()
        return self._bound

    def _content(self, name: str) -> bytes:
        try:
            return self.storage.read(self._key(name))
        except StorageError:
            raise self._damaged(name, "the disk cannot read it") from None

    def _load(self) -> None:
        advice = f"restore it, or {AGAIN} ({command_line('train-fold')})"
        try:
            text = self.storage.read(self._key(MANIFEST))
        except FileNotFoundError:
            self._files, self._bound, self._text = {}, {}, None
            return
        if text == self._text:  # what this process knows about its own files is newer
            return
        found = read_sealed(self.storage, self._key(MANIFEST), advice=advice)
        if found is not None:
            self._files, self._bound, self._text = found["files"], found["begun_with"], text

    def _note(self, files: dict[str, list[str]]) -> None:
        self._files |= {name: list(dict.fromkeys(digests)) for name, digests in files.items()}
        self._text = sealed({"files": self._files, "begun_with": self._bound})
        self.storage.publish(self._key(MANIFEST), self._text)

    def _key(self, name: str) -> str:
        return f"{self.folder}/{name}"

    def _damaged(self, name: str, reason: str) -> RunError:
        return damaged(self.path / name, reason)


def damaged(source: object, reason: str) -> RunError:
    """The error of a file that training wrote, and that is another now."""
    return RunError(f"{source} is damaged ({reason}): {AGAIN}, or restore the file")
