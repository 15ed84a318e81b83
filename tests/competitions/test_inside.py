"""Names of tables, links and archives do not lead out of the data folder; bombs are not unpacked."""

import io
import os
import stat
import zipfile
from contextlib import suppress

import numpy as np
import pytest
from tests.bad_input import spoiled

from maskfold import archives
from maskfold.competitions import Competition, open_competition
from maskfold.competitions.files import CompetitionFiles, safe_path
from maskfold.competitions.label_layouts import read_mask_files
from maskfold.competitions.profile import read_profile
from maskfold.config import CompetitionConfig
from maskfold.errors import CompetitionError


@pytest.fixture
def root(tmp_path):
    """A data folder beside a secret."""
    (tmp_path / "secret.png").write_bytes(b"secret")
    (tmp_path / "disk/train/deeper").mkdir(parents=True)
    (tmp_path / "disk/train/a.png").write_bytes(b"image")
    (tmp_path / "disk/train/deeper/b.png").write_bytes(b"image")
    (tmp_path / "data").mkdir()
    return tmp_path / "data"


@pytest.mark.parametrize(
    "name",
    [
        "a\x1b[2J.png",
        "a\nb.png",
        "a\0.png",
        "a\x7f",
        "a\x9b1m",
        "a\u202egnp.exe",
        "a\u2066b",
        "x" * 256,
        "图" * 86,
        "d/..",
    ],
)
def test_names_that_are_none(name):
    with pytest.raises(CompetitionError) as caught:
        safe_path(name)
    assert str(caught.value).isprintable() or "…" in str(caught.value)


@pytest.mark.parametrize(
    "name", ["a.png", "图.png", "x" * 255, "图" * 85, "12:30:00.png", "a b.png", "a'b.png", "=1+1.png"]
)
def test_names_that_are_names(name):
    assert safe_path(name) == name


def test_links(root):
    """Those directly in the folder are the owner's way to another disk; those below must not lead out."""
    (root / "train").symlink_to("../disk/train")
    (root / "own").mkdir()
    (root / "own/stray.png").symlink_to("../../secret.png")
    (root / "own/stray").symlink_to("../..")
    (root / "own/beside.png").symlink_to("../top.png")
    (root / "own/circle.png").symlink_to("circle.png")
    (root / "top.png").symlink_to("../secret.png")
    files = CompetitionFiles(root)
    assert files.read("train/a.png") == files.read("train/deeper/b.png") == b"image"
    assert files.read("top.png") == b"secret"
    for name in ("own/stray.png", "own/stray/secret.png", "own/beside.png"):
        with pytest.raises(CompetitionError, match=rf"{name} is reached by a link that leads out .*, to .*secret"):
            files.read(name)
        assert CompetitionFiles(root, follow_links=True).read(name) == b"secret"
    assert not files.exists("own/circle.png")
    assert "circle.png" not in files.names("own")
    with pytest.raises(CompetitionError, match=r"there is no file own/circle\.png"):
        files.read("own/circle.png")
    with pytest.raises(CompetitionError, match=r"there is no file own/circle\.png"):
        files.stands("own/circle.png")


def test_devices_are_not_opened(root):
    (root / "train").mkdir()
    os.mkfifo(root / "train/pipe.png")
    (root / "train/zero.png").symlink_to("/dev/zero")
    files = CompetitionFiles(root, follow_links=True)
    assert files.names("train") == []
    for name in ("train/pipe.png", "train/zero.png", "train/" + "n" * 300):
        assert not files.exists(name)
        with pytest.raises(CompetitionError, match="there is no file"):
            files.read(name)


def zipped(path, *members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content, *mode in members:
            member = zipfile.ZipInfo(name)
            member.compress_type = zipfile.ZIP_DEFLATED
            member.external_attr = (mode[0] if mode else 0o644) << 16
            archive.writestr(member, content)


@pytest.mark.parametrize(
    "name", ["../secret.png", "train/../../secret.png", "/etc/passwd", "train\\..\\x.png", "a\x1b[2J.png"]
)
def test_archives_with_names_that_lead_out(root, name):
    zipped(root / "train.zip", ("train/a.png", b"image"), (name, b"x"))
    for ask in (lambda files: files.below("train"), lambda files: files.exists("train/b.png")):
        with pytest.raises(CompetitionError, match=r"train\.zip is not used: the file name .* is not a plain path"):
            ask(CompetitionFiles(root))


def test_archives_with_links_and_bombs(root, monkeypatch):
    monkeypatch.setattr(archives, "UNPACKED", 1 << 20)
    zipped(
        root / "train.zip",
        ("train/link.png", "/etc/passwd", stat.S_IFLNK | 0o777),
        ("train/bomb.png", b"\0" * (4 << 20)),
        ("train/a.png", b"image"),
    )
    files = CompetitionFiles(root)
    assert files.read("train/a.png") == b"image"
    with pytest.raises(CompetitionError, match=r"train/link\.png in .*train\.zip is not read: it is a link"):
        files.read("train/link.png")
    with pytest.raises(CompetitionError, match=r"train/bomb\.png .* bomb does; if it is meant, unpack it"):
        files.read("train/bomb.png")


@pytest.mark.parametrize("place", [10, 30, -30, -60])
def test_damaged_archives(root, place):
    stream = io.BytesIO()
    zipped(stream, ("train/a.png", bytes(range(256)) * 20))
    content = bytearray(stream.getvalue())
    content[place] ^= 0xFF
    (root / "train.zip").write_bytes(content)
    files = CompetitionFiles(root)
    with suppress(CompetitionError):
        assert files.read("train/a.png") == bytes(range(256)) * 20


PROFILE = """\
layout: csv
metric: dice
train: {table: train.csv, image: "train/{id}"}
test: {table: train.csv, image: "train/{id}"}
columns: {id: id, mask: rle}
"""


def test_the_limit_of_pixels(root):
    """A picture of more is not decoded, whatever its format; the config raises the limit."""
    (root / "train").mkdir()
    (root / "train/a.png").write_bytes(spoiled.png(spoiled.pixels(0, (30, 40))))
    (root / "train/huge.png").write_bytes(spoiled.huge())
    (root / "train.csv").write_text("id,rle\na.png,\nhuge.png,\n")
    profile = root.parent / "p.yaml"
    profile.write_text(PROFILE)
    config = CompetitionConfig(profile=str(profile), root=root)
    assert open_competition(config).image("train/a.png").shape == (30, 40, 3)
    small = open_competition(config.model_copy(update={"max_pixels": 1199}))
    with pytest.raises(CompetitionError, match=r"a\.png is 30x40 .*read whole \(at most 1,199 pixels\): .*bomb"):
        small.image("train/a.png")
    with pytest.raises(CompetitionError, match=r"the size of train/huge\.png cannot be read: .*decompression bomb"):
        open_competition(config).image("train/huge.png")
    assert Competition(read_profile(profile), root).max_pixels == config.max_pixels


def test_what_is_not_packed_is_no_bomb(root):
    (root / "train").mkdir()
    np.save(root / "train/a.npy", np.ones((30, 41, 3), np.uint8))
    (root / "train.csv").write_text("id,rle\na.npy,\n")
    profile = root.parent / "p.yaml"
    profile.write_text(PROFILE)
    small = open_competition(CompetitionConfig(profile=str(profile), root=root, max_pixels=1199))
    assert small.image("train/a.npy").shape == (30, 41, 3)
    assert not small.is_large("train/a.npy")
    assert not any(small.by_windows(sample) for sample in small.samples("test"))


def test_a_zip_of_masks_is_not_believed(root):
    path = root / "masks.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.png", b"mask" * 99)
        archive.writestr("b.png", b"mask" * 99)
    assert list(read_mask_files(path)) == [("a.png", b"mask" * 99), ("b.png", b"mask" * 99)]
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b"a.png", b"x.png", 1))
    with pytest.raises(CompetitionError, match=r"masks\.zip cannot be read: .*x\.png"):
        list(read_mask_files(path))
    link = zipfile.ZipInfo("c.png")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(CompetitionError, match=r"masks\.zip is not read: it is a link"):
        list(read_mask_files(path))
