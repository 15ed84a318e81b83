"""Images that are no longer what an earlier check read, though nobody wrote to them.

JPEG has no checksum: where a bit of it is flipped, by a disk or in a copy, a decoder draws what it finds, and libjpeg
warns of a third of the cases only. So digests of the files are kept with what else can be had again, from the first
check of a folder on.
"""

import hashlib
from contextlib import suppress

from maskfold.checks.images import Images
from maskfold.checks.notes import LISTED_HERE, Notes
from maskfold.competitions import Competition
from maskfold.errors import RunError, StorageError, first_few
from maskfold.files import cache_folder
from maskfold.runs.documents import read_sealed, sealed
from maskfold.storage import LocalStorage


def check_changed(competition: Competition, images: Images, notes: Notes) -> None:
    """Compare the images' files with those of earlier checks, and remember those that are new.

    Problems: files of the same size and time, but of another content. Warnings: files that were written again.
    A place that cannot be written to costs the comparison only.
    """
    now = {path: stand for files in images.table["files"] for path, stand in files.items()}
    storage, folder = LocalStorage(cache_folder()), str(competition.root.resolve())
    key = f"seen-{hashlib.blake2b(folder.encode(), digest_size=16).hexdigest()}.json"
    before = _remembered(storage, key)
    others = sorted(path for path in now.keys() & before.keys() if now[path][-1] != before[path][-1])
    damaged = [path for path in others if now[path][:-1] == before[path][:-1]]
    if damaged:
        notes.problems.append(
            f"{len(damaged)} images are not what an earlier check read, though their size and time are the same, as "
            f"after damage on the disk: {first_few(damaged, LISTED_HERE)}; restore them from where you have them"
        )
    if written := [path for path in others if path not in damaged]:
        notes.warnings.append(f"{len(written)} images were written again since an earlier check: {first_few(written)}")
    after = before | now | {path: before[path] for path in damaged}
    if after != before:
        with suppress(OSError, StorageError):
            storage.publish(key, sealed({"folder": folder, "files": after}))


def _remembered(storage: LocalStorage, key: str) -> dict[str, list[int | str]]:
    with suppress(OSError, RunError):
        found = read_sealed(storage, key, advice="")
        return {} if found is None else found["files"]
    return {}
