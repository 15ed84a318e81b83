"""Archives that are made to do harm."""

import io
import stat
import struct
import zipfile

import pytest

from maskfold import archives
from maskfold.archives import check_member, open_zip, refuse_packed
from maskfold.errors import UnsafeArchiveError


def zipped(members, **options):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content, **options)
    return stream.getvalue()


def test_a_member_that_becomes_very_large_is_refused_before_it_is_unpacked(monkeypatch):
    monkeypatch.setattr(archives, "UNPACKED", 1 << 20)
    contents = {"bomb": b"\0" * (4 << 20), "small": b"\0" * 9000, "real": bytes(range(256)) * 9}
    opened = open_zip(io.BytesIO(zipped(contents)))
    with pytest.raises(UnsafeArchiveError, match=r"becomes 0\.0 GiB, [\d,]+ times its packed size, as a decompression"):
        check_member(opened.getinfo("bomb"))
    check_member(opened.getinfo("small"))
    check_member(opened.getinfo("real"))


def test_links_are_refused():
    member = zipfile.ZipInfo("a.png")
    member.external_attr = (stat.S_IFLNK | 0o777) << 16
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr(member, "/etc/passwd")
    with pytest.raises(UnsafeArchiveError, match="it is a link"):
        check_member(open_zip(stream).getinfo("a.png"))


@pytest.mark.parametrize("big", [False, True])
def test_the_number_of_members_is_looked_at_before_the_list_is_read(tmp_path, big):
    """An end that tells of millions; zipfile would make an object for each of what the list holds."""
    size = 46 * 6_000_000
    count, length = (0xFFFF, 0xFFFFFFFF) if big else (0, size)
    end = struct.pack("<4sHHHHIIH", b"PK\5\6", 0, 0, count, count, length, 0, 0)
    if big:
        record = struct.pack("<4sQHHIIQQQQ", b"PK\6\6", 44, 45, 45, 0, 0, 6_000_000, 6_000_000, size, 0)
        end = record + struct.pack("<4sIQI", b"PK\6\7", 0, size, 1) + end
    path = tmp_path / "many.zip"
    with open(path, "wb") as file:
        file.truncate(size)  # a hole, of no disk
        file.seek(size)
        file.write(end)
    with pytest.raises(UnsafeArchiveError, match=r"it lists 6,000,0\d\d members"):
        open_zip(path)


@pytest.mark.parametrize("content", [b"", b"PK\5\6", b"no archive", b"PK\5\6" + b"\xff" * 18, zipped({"a": b"b"})[:-5]])
def test_what_is_no_archive(content):
    with pytest.raises(zipfile.BadZipFile):
        open_zip(io.BytesIO(content))


def test_tensors_are_not_packed():
    with pytest.raises(UnsafeArchiveError, match="its member 'archive/data/0' is packed"):
        refuse_packed(io.BytesIO(zipped({"archive/data/0": b"\0" * 100_000})))
    refuse_packed(io.BytesIO(zipped({"archive/data/0": b"\0" * 100}, compress_type=zipfile.ZIP_STORED)))
