"""The manifest of a fold: every file has its checksum, before it is there; a kill between the two does no harm."""

import hashlib

import pytest
from tests.memory_storage import MemoryStorage

from maskfold.errors import RunError, StorageError
from maskfold.runs.manifest import Manifest


class Dying(MemoryStorage):
    """Dies, once, before its n-th change."""

    def __init__(self, contents, after):
        super().__init__()
        self.contents, self.left = contents, after

    def _count(self):
        self.left -= 1
        if self.left < 0:
            raise KeyboardInterrupt

    def publish(self, key, content):
        self._count()
        super().publish(key, content)

    def move(self, key, to):
        self._count()
        super().move(key, to)


def manifest(storage, tmp_path):
    return Manifest(storage, "fold_0", tmp_path / "fold_0")


def test_killed_before_any_change_every_file_is_one_that_was_written(tmp_path):
    """Three states in a row, killed before each of their changes, again and again in the same place."""
    for after in range(14):  # the changes of three states, the first of which moves nothing
        contents: dict[str, bytes] = {}
        for life in range(3):  # of other contents each, so that a digest is that of one of them
            storage = Dying(contents, after)
            writer = manifest(storage, tmp_path)
            try:
                for number in range(3):
                    writer.publish("best", b"weights %d of life %d" % (number, life))
                    writer.rotate("last", "previous", b"state %d of life %d" % (number, life))
            except KeyboardInterrupt:
                pass
            reader = manifest(MemoryStorage(), tmp_path)
            reader.storage.contents = contents
            for name in ("best", "last", "previous"):
                if f"fold_0/{name}" in contents:
                    assert reader.read(name) == contents[f"fold_0/{name}"], (after, name)
            assert after < 4 or any(f"fold_0/{name}" in contents for name in ("last", "previous"))


def test_the_one_before_is_kept(tmp_path):
    storage = MemoryStorage()
    writer = manifest(storage, tmp_path)
    for number in range(3):
        writer.rotate("last", "previous", b"%d" % number)
    reader = manifest(storage, tmp_path)
    assert (reader.read("last"), reader.read("previous")) == (b"2", b"1")
    storage.contents |= {"fold_0/last": b"3", "fold_0/previous": b"4"}
    for name in ("last", "previous"):
        with pytest.raises(RunError, match=f"{name} is damaged .its content is not what training wrote"):
            manifest(storage, tmp_path).read(name)


def test_who_reads_while_another_writes_sees_no_damage(tmp_path):
    storage = MemoryStorage()
    writer, reader = manifest(storage, tmp_path), manifest(storage, tmp_path)
    for number in range(5):
        writer.publish("best", b"%d" % number)
        assert reader.read("best") == b"%d" % number
    assert storage.contents["fold_0/manifest.json"].count(b"best") == 1


def test_two_writers_one_after_the_other_keep_what_the_other_wrote(tmp_path):
    storage = MemoryStorage()
    one, other = manifest(storage, tmp_path), manifest(storage, tmp_path)
    one.publish("a", b"1")
    other.publish("b", b"2")
    one.publish("a", b"3")
    other.bind(folds="x")
    found = manifest(storage, tmp_path)
    assert (found.read("a"), found.read("b"), found.bound()) == (b"3", b"2", {"folds": "x"})
    assert found.names() == ["a", "b"]


def test_what_has_no_checksum_is_not_believed(tmp_path):
    storage = MemoryStorage()
    manifest(storage, tmp_path).publish("best", b"1")
    storage.contents["fold_0/other"] = b"planted"
    with pytest.raises(RunError, match=r"other is damaged \(manifest\.json does not name it\)"):
        manifest(storage, tmp_path).read("other")
    del storage.contents["fold_0/manifest.json"]
    with pytest.raises(RunError, match=r"best is damaged \(there is no manifest\.json with its checksum\)"):
        manifest(storage, tmp_path).read("best")
    with pytest.raises(FileNotFoundError):
        manifest(storage, tmp_path).read("nothing")
    storage.contents["fold_0/manifest.json"] = b'{"best": "0123"}'
    with pytest.raises(RunError, match=r"manifest\.json is damaged \(it has no checksum, as one of an older version\)"):
        manifest(storage, tmp_path).read("best")


def test_what_the_disk_cannot_read_is_damaged(tmp_path, monkeypatch):
    storage = MemoryStorage()
    writer = manifest(storage, tmp_path)
    writer.rotate("last", "previous", b"1")
    writer.rotate("last", "previous", b"2")
    read = storage.read

    def fails(key, *part):
        if key == "fold_0/last":
            raise StorageError("the disk fails")
        return read(key, *part)

    monkeypatch.setattr(storage, "read", fails)
    with pytest.raises(RunError, match=r"last is damaged \(the disk cannot read it\): train the fold again"):
        manifest(storage, tmp_path).read("last")
    assert manifest(storage, tmp_path).read("previous") == b"1"


def test_after_a_kill_between_digest_and_file_the_writer_settles_which_one_is_there(tmp_path):
    storage = Dying({}, 3)
    with pytest.raises(KeyboardInterrupt):
        [manifest(storage, tmp_path).publish("best", content) for content in (b"old", b"new")]
    storage.left = 99
    assert manifest(storage, tmp_path).digest("best") == hashlib.sha256(b"new").hexdigest(), "which was never written"
    manifest(storage, tmp_path).settle("best")
    assert manifest(storage, tmp_path).digest("best") == hashlib.sha256(b"old").hexdigest()
