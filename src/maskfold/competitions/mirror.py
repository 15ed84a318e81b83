"""A competition's files at a URL: copied to this machine once, whole or not at all, and read there.

The copy's folder is named after what the URL held: another content of the URL is another folder, and a folder that is
there is whole.
"""

import hashlib
import json
import logging
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path

from maskfold.errors import CompetitionError, first_few
from maskfold.files import cache_folder
from maskfold.locks import exclusive
from maskfold.progress import progress
from maskfold.storage import Content, FsspecStorage, url_of

logger = logging.getLogger(__name__)
AT_ONCE = 64  # files that are fetched together


def local_folder(root: Path) -> Path:
    """A competition's folder on this machine: ``root`` itself, or the copy of a URL's files, made if it is not there.

    The URL is looked at once in a process.

    Raises:
        CompetitionError: nothing at the URL, no room for it, or files that changed while they were copied.
        StorageError: see `maskfold.storage.FsspecStorage`.
    """
    url = url_of(root)
    return Path(root) if url is None else _copy(url.rstrip("/"))


@cache
def _copy(url: str) -> Path:
    storage = FsspecStorage(url)
    contents = storage.contents()
    if not contents:
        raise CompetitionError(
            f"there are no files at {url}: put the competition's files there, or give another --competition.root"
        )
    facts = json.dumps([url, sorted(contents.items())]).encode()
    folder = cache_folder() / "data" / f"{url.rpartition('/')[2]}-{hashlib.sha256(facts).hexdigest()[:16]}"
    if not folder.is_dir():
        with exclusive(folder.with_name(f".{folder.name}.lock"), f"the copy of {url}", wait=True):
            if not folder.is_dir():  # another process has made it meanwhile
                _fetch(storage, contents, folder)
    return folder


def _fetch(storage: FsspecStorage, contents: Mapping[str, Content], folder: Path) -> None:
    """Copy all files beside ``folder``, check them, and give the copy its name."""
    for left in folder.parent.glob(f".{folder.name}.part-*"):  # of a process that was killed
        shutil.rmtree(left)
    size = sum(content.size for content in contents.values())
    free = shutil.disk_usage(folder.parent).free
    if size > free:
        raise CompetitionError(
            f"the files at {storage.url} take {size / 1e9:.3g} GB, and {folder.parent} has room for {free / 1e9:.3g}: "
            "make room, or set MASKFOLD_CACHE to a folder on another disk"
        )
    logger.info(f"copying {len(contents)} files, {size / 1e9:.3g} GB, from {storage.url} to {folder}")
    part = folder.with_name(f".{folder.name}.part-{secrets.token_hex(4)}")
    try:
        for _ in progress(_batches(storage, list(contents), part), "copy", total=len(contents), unit="file"):
            pass
        _check(storage, contents, part)
        if hasattr(os, "sync"):
            os.sync()  # so that after a power cut the folder is whole or not there
        part.rename(folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _batches(storage: FsspecStorage, keys: Sequence[str], part: Path) -> Iterator[str]:
    """Fetch files, and yield each key when it is there."""
    for first in range(0, len(keys), AT_ONCE):
        together = keys[first : first + AT_ONCE]
        storage.fetch(together, part)
        yield from together


def _check(storage: FsspecStorage, contents: Mapping[str, Content], part: Path) -> None:
    """Raise a CompetitionError unless every file is as long as it was, and nothing has changed since."""
    wrong = [key for key, content in contents.items() if (part / key).stat().st_size != content.size]
    now = storage.contents()
    wrong += [key for key in sorted({*contents, *now}) if contents.get(key) != now.get(key) and key not in wrong]
    if wrong:
        raise CompetitionError(
            f"{len(wrong)} files at {storage.url} changed while they were copied ({first_few(wrong)}): nothing of the "
            "copy was kept; try again when nobody writes there"
        )
