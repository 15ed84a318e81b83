import shutil

import pytest

from maskfold.checks import check_data
from maskfold.competitions import open_competition
from maskfold.config import CompetitionConfig, FoldsConfig


def checked(folder):
    profile = str(folder / "profile.yaml")
    competition = open_competition(CompetitionConfig(profile=profile, root=folder / "data", max_pixels=10_000))
    return check_data(competition, FoldsConfig(count=2))


@pytest.fixture
def large(kidneys, tmp_path):
    """The kidneys, whose rasters but the smallest count as large."""
    return shutil.copytree(kidneys, tmp_path / "kidneys")


def test_large_images_are_opened_but_not_read_whole(large):
    report = checked(large)
    assert report.problems == []
    assert report.facts["train images"] == "2"
    assert report.facts["large train images"] == "2, read by windows (H x W): 150x203 (1), 131x97 (1)"
    assert report.facts["large test images"] == "1, read by windows (H x W): 141x190 (1)"
    assert list(report.images.table["id"]) == ["dd4"]
    assert any("2 training images are too large" in text and "tile.py cut" in text for text in report.warnings)


def test_what_is_wrong_with_them_is_found(large):
    table = large / "data/train.csv"
    table.write_text(table.read_text().replace("bb2,", "bb2,999999 5 "))
    (large / "data/test/cc3.tif").write_bytes((large / "data/test/cc3.tif").read_bytes()[:-3000])
    problems = "\n".join(checked(large).problems)
    assert "1 large images cannot be used: bb2: RLE token 1 ('999999')" in problems
    assert "cc3.tif cannot be read" in problems
