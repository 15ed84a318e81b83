"""Opening a pack, a folder or a zip archive: every file is checked against the pack's own list before it is used."""

import json
import shutil
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from maskfold.archives import DAMAGED, check_member, is_link, open_zip
from maskfold.config import Config
from maskfold.ensembling.choice import EnsembleChoice, read_ensemble
from maskfold.errors import PackError, StorageError, UnsafeArchiveError, first_few
from maskfold.files import file_digest
from maskfold.packing.layout import CONTENTS, ENSEMBLE, PROFILE, RUNS, PackedRun
from maskfold.program import command_line
from maskfold.runs import Run
from maskfold.storage import checked_key


@dataclass(frozen=True)
class Pack:
    """A pack whose files are what its list says.

    Attributes:
        source: the folder or archive that was opened.
        runs: in the order of the ensemble.
        choice: what predicts.
        config: the first run's, with the profile where it is now.
    """

    source: Path
    runs: list[Run]
    choice: EnsembleChoice
    config: Config


@contextmanager
def open_pack(source: Path) -> Iterator[Pack]:
    """Check a pack and open it; an archive is unpacked into a temporary folder, which is removed in the end.

    Raises:
        PackError: there is no pack, it is damaged or incomplete, or its archive holds what is unsafe to unpack.
    """
    source = Path(source)
    if source.is_dir():
        yield _opened(source, source)
    elif source.is_file():
        with tempfile.TemporaryDirectory(prefix="maskfold-pack-") as folder:
            _unpack(source, Path(folder))
            yield _opened(Path(folder), source)
    else:
        raise PackError(f"there is no pack {source}: {command_line('pack')} writes one")


def _opened(folder: Path, source: Path) -> Pack:
    if not (folder / CONTENTS).is_file():
        raise _no_pack(source)
    _verify(folder, _listed((folder / CONTENTS).read_bytes(), source), source)
    inside = read_ensemble(folder / ENSEMBLE)
    places = [folder / checked_key(part.run) for part in inside.runs]
    runs: list[Run] = [PackedRun(place) for place in places]
    own = runs[0].config
    section = own.competition.model_copy(update={"profile": str(folder / PROFILE)})
    return Pack(source, runs, inside.moved_to(places), own.model_copy(update={"competition": section}))


def _listed(content: bytes, source: Path) -> dict[str, str]:
    """File -> digest, of a pack's list."""
    try:
        files = json.loads(content)["files"]
        return {checked_key(name): str(digest) for name, digest in files.items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        if isinstance(error, StorageError):
            raise PackError(f"{source} lists files outside of itself ({error}): do not use it") from None
        raise PackError(f"{CONTENTS} of {source} is damaged: copy the pack again") from None


def _verify(folder: Path, files: Mapping[str, str], source: Path) -> None:
    """Every listed file is there and as it was packed, and below ``runs`` there is no other."""
    missing = sorted(name for name in files if not (folder / name).is_file())
    if missing or not {ENSEMBLE, PROFILE} <= set(files):
        raise PackError(f"{source} is incomplete, it lacks {first_few(missing) or ENSEMBLE}: copy the pack again")
    changed = sorted(name for name, digest in files.items() if file_digest(folder / name) != digest)
    if changed:
        raise PackError(f"{source} is damaged, {first_few(changed)} is not what was packed: copy the pack again")
    found = {path.relative_to(folder).as_posix() for path in (folder / RUNS).rglob("*") if not path.is_dir()}
    if strangers := sorted(found - set(files)):
        raise PackError(f"{source} holds files that are not its own, {first_few(strangers)}: remove them")


def _unpack(archive: Path, folder: Path) -> None:
    """The listed files of an archive; nothing is written outside of ``folder``, and links are refused."""
    try:
        with open_zip(archive) as opened:
            members = {member.filename: member for member in opened.infolist()}
            if CONTENTS not in members:
                raise _no_pack(archive)
            for name, member in members.items():
                _check_member(name, member, archive)
            listed = [CONTENTS, *_listed(opened.read(CONTENTS), archive)]
            _check_room(sum(members[name].file_size for name in listed if name in members), folder, archive)
            for name in listed:
                if name in members:
                    (folder / name).parent.mkdir(parents=True, exist_ok=True)
                    with opened.open(name) as packed, open(folder / name, "wb") as file:
                        shutil.copyfileobj(packed, file)
    except UnsafeArchiveError as error:
        raise PackError(f"{archive} is not unpacked: {error}") from None
    except DAMAGED as error:
        raise PackError(f"{archive} is damaged, or not a zip archive ({error}): copy the pack again") from None


def _check_room(size: int, folder: Path, archive: Path) -> None:
    free = shutil.disk_usage(folder).free
    if size > free:
        raise PackError(
            f"{archive} becomes {size / (1 << 30):.1f} GiB, and {folder.parent} has {free / (1 << 30):.1f} GiB left: "
            "set TMPDIR to a folder on another disk, or unpack it yourself and name the folder"
        )


def _check_member(name: str, member: zipfile.ZipInfo, archive: Path) -> None:
    unsafe = name.startswith("/") or "\\" in name or ":" in name or ".." in name.split("/")
    if unsafe or is_link(member):
        what = "a link" if is_link(member) else "a place outside of it"
        raise PackError(f"{archive} holds {name!r}, {what}: it is not unpacked; do not use it")
    check_member(member)


def _no_pack(source: Path) -> PackError:
    return PackError(f"{source} is not a pack (no {CONTENTS}): {command_line('pack')} writes one")
