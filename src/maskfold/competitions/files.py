"""A competition's folder as one tree: plain files and, read in place, the zip archives at its top."""

import codecs
import os
import re
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import cached_property
from itertools import chain
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import IO, Any

from maskfold.archives import DAMAGED, check_member, open_zip
from maskfold.competitions.mirror import local_folder
from maskfold.errors import CompetitionError, UnsafeArchiveError, first_few, os_reason, together

# What a plain path may have to be looked at for: an empty name, . or .. among its parts, drives, backslashes, and what
# a terminal would obey instead of show: control characters, and marks that turn the direction of writing.
_CONTROL = "[\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]"
_UNUSUAL = re.compile(rf"(?:^|/)\.{{0,2}}(?:/|$)|[:\\]|{_CONTROL}")
LONGEST = 255  # bytes of a file's name on the usual disks


def safe_path(name: str) -> str:
    """Normalise a relative path that came from a competition's table, and keep it inside the competition's folder.

    Raises:
        CompetitionError: empty, absolute or with a drive, with ``..``, a backslash or a control character, or too long.
    """
    _refuse_long(name)
    if not _UNUSUAL.search(name):
        return name  # as nearly always, and a path object takes ten times as long
    path = PurePosixPath(name)
    inside = path.parts and not path.is_absolute() and ".." not in path.parts
    if not inside or "\\" in name or re.search(_CONTROL, name) or (":" in name and PureWindowsPath(name).drive):
        raise CompetitionError(
            f"the file name {name!r} is not a plain path inside the competition's folder: it is not opened"
        )
    return str(path)


def _refuse_long(name: str) -> None:
    if len(name) * 4 > LONGEST and any(len(part.encode("utf-8", "replace")) > LONGEST for part in name.split("/")):
        raise CompetitionError(
            f"the file name {name[:40]!r}… is longer than the {LONGEST} bytes that disks take: is it a name, or are "
            "columns mixed up?"
        )


def _is_file(entry: os.DirEntry[str]) -> bool:
    """Whether a folder's entry is a file, or a link to one; a link that leads nowhere or in a circle is none."""
    return entry.is_file(follow_symlinks=False) or (entry.is_symlink() and os.path.isfile(entry.path))


def safe_paths(names: Iterable[str]) -> tuple[dict[str, str], list[str]]:
    """Name -> path, of the names that `safe_path` accepts, and at most one problem about the others."""
    paths, refused = {}, []
    for name in names:
        try:
            paths[name] = safe_path(name)
        except CompetitionError as error:
            refused.append(str(error))
    return paths, together(refused, "names are refused")


def decode_text(data: bytes, name: str) -> str:
    """The text of a table or list: UTF-8 with or without a byte order mark, UTF-16 with one, or GB18030 (GBK).

    Raises:
        CompetitionError: another encoding.
    """
    utf16 = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    for encoding in ("utf-16",) if utf16 else ("utf-8-sig", "gb18030"):
        with suppress(UnicodeDecodeError):
            return data.decode(encoding)
    raise CompetitionError(f"{name} is neither UTF-8 nor GB18030 (GBK) text: save it as UTF-8")


class CompetitionFiles:
    """Reads files below ``root`` by paths with ``/``; picklable, each process opens archives for itself.

    ``train.zip`` appears as the folder ``train``: its member ``train/a.jpg`` (or ``a.jpg``) is
    ``train/a.jpg``, its ``images/a.png`` is ``train/images/a.png``; ``train_mask.csv.zip`` appears as
    ``train_mask.csv``. An archive that is alone in ``root`` is the competition's whole download: its members (or those
    of its only folder) are also where they would be if it were unpacked. A plain file goes before an archive's member
    of the same path.

    Links directly in ``root`` are its owner's way to another disk, and are followed; those below must stay in the
    folder in which they are, unless ``follow_links``. ``root`` may be a URL, whose files are then copied to this
    machine first, see `maskfold.competitions.mirror`.

    Attributes:
        source: the folder or URL that was given.
        root: the folder.
        follow_links: see above.
    """

    def __init__(self, root: Path, *, follow_links: bool = False) -> None:
        self.source = Path(root)
        self.root = local_folder(self.source)
        self.follow_links = follow_links
        self._tops: dict[str, tuple[str, ...]] = {}  # folder directly in the root -> where links below it may lead
        self._homes: dict[str, tuple[str, ...]] = {}  # the same for each folder that was checked
        self._archives: dict[tuple[int, str], zipfile.ZipFile] = {}

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_archives": {}, "_homes": {}, "_tops": {}}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__ |= state
        if not self.root.is_dir():  # on another machine
            self.root = local_folder(self.source)

    def exists(self, path: str) -> bool:
        """Whether ``path`` is a file."""
        return os.path.isfile(f"{self.root}/{path}") or path in self._members  # pathlib takes four times as long

    def has_folder(self, path: str) -> bool:
        """Whether ``path`` is a folder, on disk or in an archive."""
        return os.path.isdir(f"{self.root}/{path}") or path in self._archived_folders

    def names(self, folder: str) -> list[str]:
        """Sorted names of the files directly in ``folder``; hidden files are left out."""
        found = set(self._archived_names.get(folder, ()))
        if os.path.isdir(f"{self.root}/{folder}"):
            found.update(entry.name for entry in os.scandir(self.root / folder) if _is_file(entry))
        return sorted(name for name in found if not name.startswith("."))

    def below(self, folder: str, depth: int | None = None) -> list[str]:
        """Sorted paths of the files in ``folder`` (empty: the root) and the folders in it; hidden ones are left out.

        Args:
            folder: path in the tree.
            depth: how many ``/`` a path may have at most; `None`: any number, but then links to folders inside
                ``folder`` are not followed, since they may lead back, but for links in the root to folders elsewhere.
        """
        start = f"{folder}/" if folder else ""
        found = {path for path in self._members if path.startswith(start)}
        tops = [self.root / folder, *(self._linked_tops() if not folder and depth is None else ())]
        walks = (os.walk(top, followlinks=depth is not None) for top in tops)
        for place, folders, names in chain.from_iterable(walks):
            inside = Path(place).relative_to(self.root).as_posix()
            prefix = "" if inside == "." else f"{inside}/"
            folders[:] = [name for name in folders if depth is None or prefix.count("/") < depth]
            found.update(f"{prefix}{name}" for name in names)
        visible = (path for path in found if not path.startswith(".") and "/." not in path)
        return sorted(path for path in visible if depth is None or path.count("/") <= depth)

    def _linked_tops(self) -> list[Path]:
        """Links directly in the root to folders elsewhere, neither in it nor around it."""
        root = self.root.resolve()
        links = [path for path in self.root.glob("*") if path.is_symlink() and path.is_dir()]
        apart = ((path, path.resolve()) for path in links)
        return [path for path, goal in apart if not goal.is_relative_to(root) and not root.is_relative_to(goal)]

    def read(self, path: str) -> bytes:
        """The content of a file.

        Raises:
            CompetitionError: no such file, or a damaged or encrypted archive.
        """
        with self.open(path) as stream:
            return stream.read()

    def stands(self, path: str) -> tuple[int, ...]:
        """How a file stands: numbers of which one is another after its content changed; nothing of it is read.

        Raises:
            CompetitionError: no such file.
        """
        with suppress(OSError, ValueError):
            found = os.stat(f"{self.root}/{path}")
            return found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino
        archive, member = self._member(path)
        whole, info = os.stat(self.root / archive), self._archive(archive).getinfo(member)
        return whole.st_size, whole.st_mtime_ns, info.file_size, info.CRC

    def text(self, path: str) -> str:
        """The content of a text file, see `decode_text`.

        Raises:
            CompetitionError: as `read`, or an unknown encoding.
        """
        return decode_text(self.read(path), path)

    @contextmanager
    def open(self, path: str) -> Iterator[IO[bytes]]:
        """A seekable stream of a file's bytes, of which no more is read or unpacked than is asked for.

        Raises:
            CompetitionError: no such file, or one that may not be read; a damaged or encrypted archive, also while it
                is read; a link that leads out; a member that would become very large.
        """
        if os.path.isfile(f"{self.root}/{path}"):
            self.check_link(path)
            try:
                with open(f"{self.root}/{path}", "rb") as stream:
                    yield stream
            except OSError as error:
                raise CompetitionError(f"{path} cannot be read: {os_reason(error)}") from None
            return
        archive, member = self._member(path)
        try:
            check_member(self._archive(archive).getinfo(member))
            with self._archive(archive).open(member) as stream:
                yield stream
        except UnsafeArchiveError as error:
            raise CompetitionError(
                f"{member} in {self.root / archive} is not read: {error}; if it is meant, unpack it yourself"
            ) from None
        except DAMAGED as error:
            raise CompetitionError(f"{member} in {self.root / archive} cannot be read: {error}") from None

    def check_link(self, path: str) -> None:
        """Refuse a plain file below a folder of the root that is reached by a link which leads out of both.

        Raises:
            CompetitionError: it is.
        """
        folder = path.rpartition("/")[0]
        if self.follow_links or not folder:
            return
        if folder not in self._homes:
            top = path.partition("/")[0]
            if top not in self._tops:  # where each image has a folder of its own the two would take most of the time
                self._tops[top] = tuple(f"{os.path.realpath(place)}/" for place in (self.root, f"{self.root}/{top}"))
            homes = self._tops[top]
            if not f"{os.path.realpath(f'{self.root}/{folder}')}/".startswith(homes):
                raise self._stray(path)
            self._homes[folder] = homes
        whole = f"{self.root}/{path}"
        if os.path.islink(whole) and not os.path.realpath(whole).startswith(self._homes[folder]):
            raise self._stray(path)

    def _stray(self, path: str) -> CompetitionError:
        return CompetitionError(
            f"{path} is reached by a link that leads out of its folder, to {os.path.realpath(f'{self.root}/{path}')}: "
            "it is not opened. If the link is your own, set competition.follow_links, or link the folder as a whole, "
            f"directly in {self.root}"
        )

    def _member(self, path: str) -> tuple[str, str]:
        """The archive that a file is in, and its name there."""
        if path not in self._members:
            raise CompetitionError(f"there is no file {path} in {self.root}, nor in an archive there")
        return self._members[path]

    @cached_property
    def _members(self) -> dict[str, tuple[str, str]]:
        """Path in the tree -> (archive, member) of everything archived."""
        members: dict[str, tuple[str, str]] = {}
        for archive in sorted(path.name for path in self.root.glob("*.zip") if path.is_file()):
            folder = archive.removesuffix(".zip")
            for member in self._safe_names(archive):
                if not member.endswith("/"):
                    inside = member == folder or member.startswith(f"{folder}/")
                    members.setdefault(member if inside else f"{folder}/{member}", (archive, member))
        return {**self._of_download(), **members}

    def _of_download(self) -> dict[str, tuple[str, str]]:
        """The members of an archive of everything, by their own paths."""
        entries = [path for path in self.root.glob("*") if not path.name.startswith(".")]
        if len(entries) != 1 or entries[0].suffix != ".zip" or not entries[0].is_file():
            return {}
        archive = entries[0].name
        names = [name for name in self._safe_names(archive) if name[-1:] != "/" and name[:9] != "__MACOSX/"]
        tops = {name.partition("/")[0] for name in names}
        start = f"{tops.pop()}/" if len(tops) == 1 and all("/" in name for name in names) else ""
        found = {name.removeprefix(start): (archive, name) for name in names}
        if packed := [name for name in found if name.endswith(".zip")]:
            raise CompetitionError(
                f"{entries[0]} holds further archives ({first_few(packed)}), which cannot be read in place: unpack it "
                "once; those may stay as they are"
            )
        return found

    @cached_property
    def _archived_folders(self) -> set[str]:
        return {str(parent) for path in self._members for parent in PurePosixPath(path).parents}

    @cached_property
    def _archived_names(self) -> dict[str, list[str]]:
        """Folder -> names of the archived files directly in it."""
        names: dict[str, list[str]] = {}
        for path in map(PurePosixPath, self._members):
            names.setdefault(str(path.parent), []).append(path.name)
        return names

    def _safe_names(self, archive: str) -> list[str]:
        """The names of an archive's members; a CompetitionError where one leads out of the folder."""
        names = self._archive(archive).namelist()
        _, refused = safe_paths(name.removesuffix("/") for name in names)
        if refused:
            raise CompetitionError(f"{self.root / archive} is not used: {'; '.join(refused)}")
        return names

    def _archive(self, name: str) -> zipfile.ZipFile:
        # A forked process shares the parent's file position: a handle belongs to the process that opened it.
        key = (os.getpid(), name)
        if key not in self._archives:
            try:
                self._archives[key] = open_zip(self.root / name)
            except UnsafeArchiveError as error:
                raise CompetitionError(f"{self.root / name} is not opened: {error}") from None
            except (zipfile.BadZipFile, OSError):
                raise CompetitionError(f"{self.root / name} is not a whole zip archive: download it again") from None
        return self._archives[key]
