"""Atomic writing: whole or not at all."""

import errno
import os
import resource
import shutil
import stat

import pytest
from tests.children import in_child

from maskfold.errors import StorageError
from maskfold.files import atomic_path, exchange_folder, sweep, write_file
from maskfold.storage import LocalStorage


def test_success_replaces_and_leaves_nothing_else(tmp_path):
    path = tmp_path / "deep" / "table.csv"
    for text in ("one", "two"):
        with atomic_path(path) as temporary:
            assert temporary.suffix == ".csv"
            temporary.write_text(text)
    assert path.read_text() == "two"
    assert list(path.parent.iterdir()) == [path]


def test_failure_keeps_the_old_file(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("old")
    with pytest.raises(RuntimeError, match="boom"), atomic_path(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError("boom")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_mode_follows_the_umask(tmp_path):
    before = os.umask(0o027)
    try:
        with atomic_path(tmp_path / "x") as temporary:
            temporary.write_text("")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "x").stat().st_mode) == 0o640


def refused(path, prepare):
    """What a process of its own, after ``prepare``, says of writing 10,000 bytes."""
    reader, writer = os.pipe()

    def write():
        prepare()
        try:
            LocalStorage(path.parent).publish(path.name, bytes(10_000))
        except StorageError as error:
            os.write(writer, str(error).encode())

    assert in_child(write) == 0
    os.close(writer)
    with os.fdopen(reader) as said:
        return said.read()


def test_where_there_is_no_room_the_message_says_what_needs_how_much_and_nothing_is_left(tmp_path):
    path = tmp_path / "last.pt"
    path.write_bytes(b"former")
    said = refused(path, lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096)))
    assert said == f"{path} needs 10,000 bytes, more than this system lets a file have: raise the limit (ulimit -f)"
    assert {entry.name: entry.read_bytes() for entry in tmp_path.iterdir()} == {"last.pt": b"former"}


def test_a_full_disk_is_one_message(tmp_path, monkeypatch):
    def full(*given):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    found = rf"the disk is full: {tmp_path}/x\.csv needs 3 bytes, and [\d,]+ are free .*make room, then give the same"
    with pytest.raises(StorageError, match=found), atomic_path(tmp_path / "x.csv") as temporary:
        temporary.write_text("abc")
    assert list(tmp_path.iterdir()) == []


def test_text_is_written_as_utf_8_and_bytes_as_they_are(tmp_path):
    for content, stored in (("Größe 3\n楼", b"Gr\xc3\xb6\xc3\x9fe 3\n\xe6\xa5\xbc"), (b"\xff\r\n", b"\xff\r\n")):
        write_file(tmp_path / "new" / "x.txt", content)
        assert [(path.name, path.read_bytes()) for path in (tmp_path / "new").iterdir()] == [("x.txt", stored)]


@pytest.mark.parametrize("place", ["file/x.csv", "file/deep/x.csv", "folder"])
def test_a_place_that_cannot_be_written_to_is_named(tmp_path, place):
    (tmp_path / "file").write_text("")
    (tmp_path / "folder").mkdir()
    found = rf"{tmp_path / place} cannot be written \(.*\): make the folder writable, or choose another place"
    with pytest.raises(StorageError, match=found), atomic_path(tmp_path / place) as temporary:
        temporary.write_text("")


def test_a_folder_without_the_right_to_write_is_named(tmp_path):
    path = tmp_path / "shut" / "x.csv"
    path.parent.mkdir(mode=0o555)
    said = refused(path, lambda: os.getuid() or os.setuid(65534))  # root may write everywhere
    assert said == f"{path} cannot be written (Permission denied): make the folder writable, or choose another place"


def test_the_folder_is_flushed_after_the_file_has_its_name(tmp_path, monkeypatch):
    seen, original = [], os.fsync

    def fsync(opened):
        seen.append((stat.S_ISDIR(os.fstat(opened).st_mode), (tmp_path / "new" / "x").exists()))
        original(opened)

    monkeypatch.setattr(os, "fsync", fsync)
    with atomic_path(tmp_path / "new" / "x") as temporary:
        temporary.write_text("")
    assert seen == [(True, False), (False, False), (True, True)], "the new folder, the file, and the file's name"


def test_what_was_being_written_is_swept_and_nothing_else(tmp_path):
    left = [".last.tmp-a1b2_3d4.pt", ".sub.tmp-12345678", ".best.tmp-abcdefgh.safetensors"]
    stay = ["last.pt", ".hidden", ".last.pt", ".tmp-12345678", ".last.x-a1b2c3d4.pt"]
    for name in left + stay:
        (tmp_path / "fold" / name).mkdir(parents=True) if name == left[1] else make(tmp_path / "fold" / name)
    sweep(tmp_path / "fold", "last.pt")
    assert {path.name for path in (tmp_path / "fold").iterdir()} == {*left[1:], *stay}
    sweep(tmp_path)
    assert {path.name for path in (tmp_path / "fold").iterdir()} == {*left[1:], *stay}, "not in folders inside"
    sweep(tmp_path / "fold")
    assert {path.name for path in (tmp_path / "fold").iterdir()} == set(stay)
    sweep(tmp_path / "nowhere")


def make(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(path.name)


def test_a_folder_takes_the_place_of_another_at_once(tmp_path, monkeypatch):
    for linux in (True, False):
        for name in ("new", "old"):
            make(tmp_path / name / name)
        if not linux:
            monkeypatch.setattr("maskfold.files._exchanged", lambda *given: False)
        else:
            monkeypatch.setattr(os, "replace", None)
        exchange_folder(tmp_path / "new", tmp_path / "old")
        monkeypatch.undo()
        assert [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")] == ["old", "old/new"]
        shutil.rmtree(tmp_path / "old")
    make(tmp_path / "new" / "x")
    exchange_folder(tmp_path / "new", tmp_path / "old")
    assert [path.name for path in tmp_path.rglob("*")] == ["old", "x"]
