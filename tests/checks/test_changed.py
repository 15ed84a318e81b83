"""An image that was damaged after it was first checked is told, though it is a picture still."""

import os
import zipfile

import cv2
import numpy as np
import pytest
from tests.checks.conftest import texture

from maskfold.checks import check_data
from maskfold.competitions import open_competition
from maskfold.config import CompetitionConfig, FoldsConfig
from maskfold.files import cache_folder


@pytest.fixture
def root(tmp_path, monkeypatch):
    """Four JPEGs, and their masks."""
    monkeypatch.setenv("MASKFOLD_CACHE", str(tmp_path / "cache"))
    for part in ("images", "masks"):
        (tmp_path / "data" / part).mkdir(parents=True)
    for seed in range(4):
        cv2.imwrite(str(tmp_path / f"data/images/{seed}.jpg"), texture(seed))
        cv2.imwrite(str(tmp_path / f"data/masks/{seed}.png"), (texture(seed)[..., 0] > 120).astype(np.uint8) * 255)
    return tmp_path / "data"


def found(root):
    """What is said of images that changed: problems and warnings."""
    competition = open_competition(CompetitionConfig(profile="png-masks", root=root))
    report = check_data(competition, FoldsConfig(count=2))
    return [[text for text in texts if "earlier check" in text] for texts in (report.problems, report.warnings)]


def damage(path, place=600):
    """Flip a bit behind the back of the file system, as a disk does: the time stays."""
    stand, content = path.stat(), bytearray(path.read_bytes())
    content[place] ^= 4
    path.write_bytes(content)
    os.utime(path, ns=(stand.st_atime_ns, stand.st_mtime_ns))


def test_a_flipped_bit_of_a_jpeg_is_told_until_the_file_is_restored(root):
    whole = (root / "images/2.jpg").read_bytes()
    assert found(root) == found(root) == [[], []]
    damage(root / "images/2.jpg")
    assert cv2.imread(str(root / "images/2.jpg")).shape == (48, 64, 3), "decoders do not notice"
    for _ in range(2):
        (problem,), warnings = found(root)
        assert problem.startswith("1 images are not what an earlier check read, though their size and time are the ")
        assert "on the disk: images/2.jpg; restore" in problem
        assert not warnings
    (root / "images/2.jpg").write_bytes(whole)
    assert found(root) == [[], []]


def test_what_somebody_wrote_is_said_once(root):
    found(root)
    cv2.imwrite(str(root / "images/1.jpg"), texture(9))
    os.utime(root / "images/1.jpg", ns=(1, 1))
    assert found(root) == [[], ["1 images were written again since an earlier check: images/1.jpg"]]
    assert found(root) == [[], []]


def test_archives_have_checksums_of_their_own_and_a_damaged_memory_tells_nothing(root):
    with zipfile.ZipFile(root / "images.zip", "w") as archive:
        for path in sorted((root / "images").iterdir()):
            archive.write(path, f"images/{path.name}")
            path.unlink()
    (root / "images").rmdir()
    assert found(root) == [[], []]
    (memory,) = cache_folder().glob("seen-*.json")
    damage(memory, 200)
    assert found(root) == [[], []]


def test_a_place_that_cannot_be_written_to_costs_the_comparison_only(root, monkeypatch):
    monkeypatch.setenv("MASKFOLD_CACHE", "/proc/none")
    assert found(root) == [[], []]
    damage(root / "images/2.jpg")
    assert found(root) == [[], []]
