"""Zip archives from anywhere: what is in them is not believed before it is looked at."""

import lzma
import stat
import struct
import zipfile
import zlib
from pathlib import Path
from typing import IO

from maskfold.errors import UnsafeArchiveError

MOST_MEMBERS = 5_000_000
# Deflate packs 1,032 times at most, and real data some ten times; what is small may be packed as it likes.
MOST_RATIO = 200
UNPACKED = 1 << 30  # bytes from which the ratio counts
# What zipfile raises of members that are damaged, encrypted or packed in a way that it does not know.
DAMAGED = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, RuntimeError, EOFError)

_END, _END_64 = b"PK\x05\x06", b"PK\x06\x06"
_TAIL = 22 + (1 << 16)  # the end's own size, and a comment

_TIME = (1980, 1, 1, 0, 0, 0)


def new_member(name: str) -> zipfile.ZipInfo:
    """A file to be written into an archive, without its time: the same files make the same archive, byte for byte."""
    entry = zipfile.ZipInfo(name, _TIME)
    entry.external_attr = 0o644 << 16
    return entry


def open_zip(source: Path | IO[bytes]) -> zipfile.ZipFile:
    """The archive in a file, or in a stream of one, for reading.

    Raises:
        UnsafeArchiveError: it lists more members than any data set has files.
        zipfile.BadZipFile: it is damaged, or no archive.
    """
    if isinstance(source, Path):
        with open(source, "rb") as stream:
            count = _listed(stream)
    else:
        count = _listed(source)
    if count > MOST_MEMBERS:
        raise UnsafeArchiveError(f"it lists {count:,} members, at most {MOST_MEMBERS:,} are read")
    try:
        return zipfile.ZipFile(source)
    except (ValueError, NotImplementedError, struct.error, OverflowError) as error:  # of a damaged list of members
        raise zipfile.BadZipFile(f"its list of members is damaged: {error}") from None


def is_link(member: zipfile.ZipInfo) -> bool:
    """Whether a member is a symbolic link."""
    return stat.S_ISLNK(member.external_attr >> 16)


def check_member(member: zipfile.ZipInfo) -> None:
    """Refuse a member before anything of it is unpacked.

    Raises:
        UnsafeArchiveError: it is a link, or becomes very much larger than it is packed, as a decompression bomb does.
    """
    if is_link(member):
        raise UnsafeArchiveError("it is a link, and links in archives are not followed")
    if member.file_size > UNPACKED and member.file_size > MOST_RATIO * member.compress_size:
        ratio = member.file_size // max(1, member.compress_size)
        raise UnsafeArchiveError(
            f"it becomes {member.file_size / (1 << 30):.1f} GiB, {ratio:,} times its packed size, as a decompression "
            "bomb does"
        )


def refuse_packed(source: Path | IO[bytes]) -> None:
    """Refuse an archive with packed members, for what is written without packing: tensors.

    Raises:
        UnsafeArchiveError: a member is packed, so it may become of any size.
        zipfile.BadZipFile: it is damaged, or no archive.
    """
    with open_zip(source) as archive:
        for member in archive.infolist():
            if member.compress_type != zipfile.ZIP_STORED or member.file_size != member.compress_size:
                raise UnsafeArchiveError(
                    f"its member {member.filename!r} is packed, which is not how tensors are stored"
                )


def _listed(stream: IO[bytes]) -> int:
    """How many members an archive says it has; 0 where it does not say, and zipfile will refuse it."""
    size = stream.seek(0, 2)
    stream.seek(max(0, size - _TAIL))
    tail = stream.read()
    end = tail.rfind(_END)
    if end < 0 or end + 22 > len(tail):
        return 0
    (count, length) = struct.unpack_from("<HI", tail, end + 10)
    if count == 0xFFFF or length == 0xFFFFFFFF:
        big = tail.rfind(_END_64, 0, end)
        if big >= 0 and big + 56 <= len(tail):
            count, length = struct.unpack_from("<QQ", tail, big + 32)
    return max(count, min(length, size) // 46)  # what zipfile reads goes by the directory's length
