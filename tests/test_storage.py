"""One protocol, two places: what every storage must do."""

import builtins
import io
import os
import pickle
from pathlib import Path

import pytest
from tests.drill.instruments import unreadable
from tests.memory_storage import MemoryStorage

from maskfold.errors import StorageError
from maskfold.storage import FsspecStorage, LocalStorage, open_storage, url_of


@pytest.fixture(params=["local", "dictionary", "memory://", "file://", "s3://"])
def storage(request, tmp_path):
    """A dictionary proves that nothing but the protocol is used; file:// has to be renamed, s3:// does not."""
    if request.param == "local":
        return LocalStorage(tmp_path / "not" / "yet")
    if request.param == "dictionary":
        return MemoryStorage()
    pytest.importorskip("fsspec", reason="fsspec is not installed")
    if request.param == "s3://":
        return FsspecStorage(f"{request.getfixturevalue('bucket')}/runs/{tmp_path.name}")
    return FsspecStorage(f"{request.param}{tmp_path}/not/yet")


class TestStorage:
    def test_what_was_published_is_read_whole_or_in_part(self, storage):
        storage.publish("fold_1/best.bin", b"0123456789")
        assert storage.read("fold_1/best.bin") == b"0123456789"
        assert storage.read("fold_1/best.bin", 3, 7) == b"3456"
        assert storage.read("fold_1/best.bin", 8) == b"89"
        assert storage.read("fold_1/best.bin", 8, 99) == b"89"
        assert storage.read("fold_1/best.bin", None, 2) == b"01"
        assert storage.read("fold_1/best.bin", 5, 5) == b""
        storage.publish("fold_1/best.bin", b"new")
        assert storage.read("fold_1/best.bin") == b"new"

    def test_a_prefix_is_a_key_or_a_folder(self, storage):
        for key in ("fold_1/a", "fold_1/oof/b", "fold_10/c", "config.yaml"):
            storage.publish(key, key.encode())
        assert storage.list() == ["config.yaml", "fold_1/a", "fold_1/oof/b", "fold_10/c"]
        assert storage.list("fold_1") == ["fold_1/a", "fold_1/oof/b"]
        assert storage.list("config.yaml") == ["config.yaml"]
        assert storage.list("fold_2") == []
        assert storage.size() == sum(map(len, ("fold_1/a", "fold_1/oof/b", "fold_10/c", "config.yaml")))
        assert storage.size("fold_1") == len("fold_1/a") + len("fold_1/oof/b")
        storage.remove("fold_1")
        storage.remove("config.yaml")
        storage.remove("fold_2")
        assert storage.list() == ["fold_10/c"]
        assert storage.read("fold_10/c") == b"fold_10/c"

    def test_what_is_replaced_meanwhile_does_not_count(self, tmp_path, monkeypatch):
        storage = LocalStorage(tmp_path)
        storage.publish("fold_1/last.pt", b"123")
        monkeypatch.setattr(storage, "list", lambda prefix="": ["fold_1/last.pt", "fold_1/gone.pt"])
        assert storage.size() == 3

    def test_what_is_not_there(self, storage):
        assert storage.list() == []
        assert not storage.exists("fold_1/a")
        with pytest.raises(FileNotFoundError):
            storage.read("fold_1/a")
        storage.publish("fold_1/a", b"")
        assert storage.exists("fold_1/a")
        assert not storage.exists("fold_1"), "a folder holds nothing itself"

    @pytest.mark.parametrize("key", ["", "/etc/x", "../x", "a/../../x", "a//b", "a/.b", "a\\b", "C:/x", "a/", "a\0b"])
    def test_keys_that_are_none_are_refused(self, storage, key):
        for call in (storage.read, storage.exists, lambda key: storage.publish(key, b"x")):
            with pytest.raises(StorageError, match="expected a relative path with forward slashes"):
                call(key)
        if key:
            with pytest.raises(StorageError):
                storage.remove(key)

    def test_names_of_any_script(self, storage):
        storage.publish("编号/图.bin", b"x")
        assert storage.list() == ["编号/图.bin"]


def test_an_interrupted_publication_leaves_the_former_content_and_no_rest(tmp_path, monkeypatch):
    storage = LocalStorage(tmp_path)
    storage.publish("a", b"old")

    def full(*_):
        raise OSError("No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        storage.publish("a", b"new")
    assert storage.read("a") == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_what_the_disk_cannot_read_is_told_until_it_is_replaced(tmp_path, monkeypatch):
    storage = LocalStorage(tmp_path)
    storage.publish("a", b"old")
    with monkeypatch.context() as patch:
        patch.setattr(builtins, "open", open)  # so that they come back
        patch.setattr(io, "open", open)
        unreadable(tmp_path / "a")()
        with pytest.raises(StorageError, match=rf"{tmp_path}/a cannot be read, the disk fails .*: restore it from a"):
            storage.read("a")
        storage.publish("a", b"new")
        assert storage.read("a", 1) == b"ew"


def test_hidden_files_are_not_listed(tmp_path):
    storage = LocalStorage(tmp_path)
    storage.publish("a", b"x")
    (tmp_path / ".lock").touch()
    (tmp_path / ".hidden").mkdir()
    (tmp_path / ".hidden" / "b").touch()
    assert storage.list() == ["a"]


@pytest.mark.parametrize(
    ("path", "url"),
    [
        (Path("s3://bucket/runs/demo"), "s3://bucket/runs/demo"),
        (Path("memory://x") / "y", "memory://x/y"),
        (Path("file:///tmp/x"), "file:///tmp/x"),
        (Path("runs/demo"), None),
        (Path("/tmp/a:/b"), None),
        (Path("C:/runs"), None),
    ],
)
def test_a_path_of_a_url_means_the_url(path, url):
    assert url_of(path) == url


def test_an_unknown_kind_of_url_is_one_message():
    pytest.importorskip("fsspec", reason="fsspec is not installed")
    with pytest.raises(StorageError, match=r"nonsense://x cannot be opened .*pip install 'maskfold\[storage\]'"):
        open_storage(Path("nonsense://x"))


def test_a_storage_is_sent_to_other_processes(tmp_path):
    pytest.importorskip("fsspec", reason="fsspec is not installed")
    storage = open_storage(Path(f"file://{tmp_path}/a"))
    storage.publish("x", b"1")
    assert pickle.loads(pickle.dumps(storage)).read("x") == b"1"


def test_a_publication_by_rename_that_fails_leaves_the_former_content(tmp_path, monkeypatch):
    pytest.importorskip("fsspec", reason="fsspec is not installed")
    storage = FsspecStorage(f"file://{tmp_path}/a")
    storage.publish("x", b"old")

    def broken(*_, **__):
        raise OSError("the network is gone")

    monkeypatch.setattr(type(storage._system), "mv", broken)
    with pytest.raises(OSError, match="gone"):
        storage.publish("x", b"new")
    assert storage.read("x") == b"old"
    assert storage.list() == ["x"]
