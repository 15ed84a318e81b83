import multiprocessing
import os
import pickle
import zipfile

import pytest

from maskfold.competitions.files import CompetitionFiles, decode_text, safe_path
from maskfold.errors import CompetitionError


def zipped(path, members):
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)


@pytest.mark.parametrize(
    "name",
    ["../x.jpg", "/etc/passwd", "a/../../x.jpg", "..", "", "C:x.jpg", "C:\\x.jpg", "\\\\host\\x", "a\\b.jpg", "a\0b"],
)
def test_names_that_leave_the_folder_are_refused(name):
    with pytest.raises(CompetitionError, match="not a plain path inside the competition's folder"):
        safe_path(name)


@pytest.mark.parametrize(("name", "path"), [("a.jpg", "a.jpg"), ("./d//a.jpg", "d/a.jpg"), ("a..b.png", "a..b.png")])
def test_plain_names_are_kept(name, path):
    assert safe_path(name) == path


def test_archives_appear_as_folders(tmp_path):
    zipped(tmp_path / "test_a.zip", {"test_a/": b"", "test_a/x.jpg": b"tianchi", "__MACOSX/test_a/._x.jpg": b"no"})
    zipped(tmp_path / "train.zip", {"images/a.png": b"kaggle", "masks/a.png": b"mask"})
    zipped(tmp_path / "train_mask.csv.zip", {"train_mask.csv": b"table"})
    files = CompetitionFiles(tmp_path)
    assert files.read("test_a/x.jpg") == b"tianchi"
    assert files.read("train/images/a.png") == b"kaggle"
    assert files.read("train_mask.csv") == b"table"
    with files.open("train/masks/a.png") as stream:
        assert stream.read() == b"mask"
    assert files.names("train/images") == ["a.png"]
    assert files.names("test_a") == ["x.jpg"]
    assert all(files.has_folder(name) for name in ("test_a", "train", "train/images"))
    assert not files.has_folder("images")
    assert not files.exists("images/a.png")


def test_many_folders_are_listed_in_one_pass_over_the_archives(tmp_path):
    zipped(tmp_path / "train.zip", {f"{day}/{slice}.png": b"" for day in "abc" for slice in range(ord(day) - 95)})
    (tmp_path / "train/b").mkdir(parents=True)
    (tmp_path / "train/b/more.png").write_bytes(b"")
    files, passes = CompetitionFiles(tmp_path), []

    class Counted(dict):
        def __iter__(self):
            passes.append(len(self))
            return super().__iter__()

    files.__dict__["_members"] = Counted(files._members)
    found = [files.names(f"train/{day}") for day in "abcd"]
    assert found == [["0.png", "1.png"], ["0.png", "1.png", "2.png", "more.png"], [f"{i}.png" for i in range(4)], []]
    assert files.names("train") == []
    assert passes == [9]


def test_plain_files_go_before_archives(tmp_path):
    zipped(tmp_path / "train.zip", {"a.txt": b"archived", "b.txt": b"only archived"})
    (tmp_path / "train").mkdir()
    (tmp_path / "train/a.txt").write_bytes(b"unpacked")
    (tmp_path / "train/.hidden").write_bytes(b"")
    files = CompetitionFiles(tmp_path)
    assert files.read("train/a.txt") == b"unpacked"
    assert files.read("train/b.txt") == b"only archived"
    assert files.names("train") == ["a.txt", "b.txt"]


def test_missing_file_and_damaged_archives(tmp_path):
    files = CompetitionFiles(tmp_path)
    with pytest.raises(CompetitionError, match=r"there is no file a/b\.png"):
        files.read("a/b.png")
    (tmp_path / "train.zip").write_bytes(b"PK half a download")
    with pytest.raises(CompetitionError, match=r"train\.zip is not a whole zip archive"):
        CompetitionFiles(tmp_path).exists("train/a.png")


def test_damaged_member(tmp_path):
    zipped(tmp_path / "train.zip", {"a.txt": b"0123456789" * 50})
    content = bytearray((tmp_path / "train.zip").read_bytes())
    content[40] ^= 0xFF  # inside the compressed bytes, behind a header of 35
    (tmp_path / "train.zip").write_bytes(content)
    with pytest.raises(CompetitionError, match=r"a\.txt in .*train\.zip cannot be read"):
        CompetitionFiles(tmp_path).read("train/a.txt")


@pytest.mark.parametrize("top", ["", "airbus/"])
def test_an_archive_of_everything_is_read_in_place(tmp_path, top):
    members = {f"{top}train/a.jpg": b"train", f"{top}test/b.jpg": b"test", f"{top}train.csv": b"table"}
    zipped(tmp_path / "airbus-ship-detection.zip", {**members, "__MACOSX/x": b"no"})
    files = CompetitionFiles(tmp_path)
    assert files.names("train") == ["a.jpg"]
    assert files.has_folder("test")
    assert files.read("train.csv") == b"table"
    assert files.below("test") == ["test/b.jpg"]
    (tmp_path / "notes.txt").touch()
    assert not CompetitionFiles(tmp_path).exists("train.csv")


def test_archives_in_an_archive_are_to_be_unpacked_once(tmp_path):
    zipped(tmp_path / "salt.zip", {"train.zip": b"PK", "test.zip": b"PK", "train.csv": b"table"})
    message = r"salt\.zip holds further archives \(train\.zip, test\.zip\).*: unpack it once"
    with pytest.raises(CompetitionError, match=message):
        CompetitionFiles(tmp_path).exists("train/a.png")


def test_pickles_without_open_archives(tmp_path):
    zipped(tmp_path / "train.zip", {"a.txt": b"A"})
    files = CompetitionFiles(tmp_path)
    files.read("train/a.txt")
    assert pickle.loads(pickle.dumps(files)).read("train/a.txt") == b"A"


def _read_many(files, seed):
    return all(files.read(f"train/{name}.bin") == bytes([name]) * 5000 for name in [seed % 7, 6, 0] * 100)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork.*")
def test_forked_processes_do_not_share_a_file_position(tmp_path):
    with zipfile.ZipFile(tmp_path / "train.zip", "w") as archive:
        for name in range(7):
            archive.writestr(f"{name}.bin", bytes([name]) * 5000)
    files = CompetitionFiles(tmp_path)
    files.read("train/3.bin")
    context = multiprocessing.get_context("fork")
    with context.Pool(4, initializer=_share, initargs=(files,)) as pool:
        assert all(pool.map(_read_shared, range(8)))


def _share(files):
    global shared
    shared = files


def _read_shared(seed):
    return _read_many(shared, seed)


def test_of_an_archived_file_no_more_is_unpacked_than_is_read(tmp_path):
    with zipfile.ZipFile(tmp_path / "train.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.bin", os.urandom(3_000_000))
    content = bytearray((tmp_path / "train.zip").read_bytes())
    content[2_000_000] ^= 0xFF  # far behind the header: only who reads it all can notice
    (tmp_path / "train.zip").write_bytes(content)
    files = CompetitionFiles(tmp_path)
    with files.open("train/a.bin") as stream:
        assert len(stream.read(1000)) == 1000
        stream.seek(0)
        assert len(stream.read(10)) == 10
    with pytest.raises(CompetitionError, match=r"a\.bin in .*train\.zip cannot be read"):
        files.read("train/a.bin")


TEXT = "图像,掩码\n建筑_1.jpg,1 2\n"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gbk", "gb18030", "utf-16"])
def test_text_in_the_encodings_that_chinese_programs_write(encoding):
    assert decode_text(TEXT.encode(encoding), "t.csv") == TEXT


def test_text_of_another_encoding_is_named():
    with pytest.raises(CompetitionError, match=r"t\.csv is neither UTF-8 nor GB18030 \(GBK\) text: save it as UTF-8"):
        decode_text("caf\xe9 \xff".encode("latin-1"), "t.csv")
