"""What a run tells when it makes its folds."""

import logging
import shutil

import pytest
import yaml

from maskfold.competitions import open_competition
from maskfold.config import load_config, override
from maskfold.errors import FoldsError
from maskfold.runs import Run


def test_images_without_a_row_are_counted_when_folds_are_made(tiny, tmp_path, caplog):
    root = shutil.copytree(tiny.competition.root, tmp_path / "c")
    for number in range(4):
        shutil.copy(root / "train/T001.jpg", root / f"train/new{number}.jpg")
    config = override(tiny, {"competition.root": root})
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            Run.create(config, tmp_path).folds()
    (message,) = caplog.messages
    assert message == (
        "4 images are in no table and are not used: train/new0.jpg, train/new1.jpg, train/new2.jpg and 1 more"
    )


@pytest.fixture
def grouped(tiny, tmp_path):
    """The tiny competition, whose profile says which tiles are of one scene."""
    root = shutil.copytree(tiny.competition.root, tmp_path / "c")
    tiles = sorted(path.name for path in (root / "train").iterdir())  # those of the test split have the same names
    rows = [f"{tile},scene {number // 3}" for number, tile in enumerate(tiles)]
    (root / "scenes.csv").write_text("\n".join(["tile,scene", *rows]) + "\n")
    profile = open_competition(tiny.competition).profile.model_dump(mode="json", exclude_unset=True)
    profile |= {"group": {"file": "scenes.csv", "id": "tile", "column": "scene"}}
    (tmp_path / "own.yaml").write_text(yaml.safe_dump({**profile, "name": "own"}))
    return override(tiny, {"competition.root": root, "competition.profile": str(tmp_path / "own.yaml")})


def test_groups_of_the_profile_are_kept_together_without_being_asked(grouped, tmp_path, caplog):
    competition = open_competition(grouped.competition)
    scene = {sample.id: sample.group for sample in competition.samples("train")}
    assert len(set(scene.values())) == 6
    folds = Run.create(grouped, tmp_path).folds()
    for _, rows in folds.groupby("fold"):
        sides = [set(rows.loc[rows["split"] == split, "id"].map(scene)) for split in ("train", "valid")]
        assert not sides[0] & sides[1]
    assert not caplog.messages
    Run.create(override(grouped, {"folds.kind": "stratified", "name": "other"}), tmp_path).folds()
    assert "6 groups, but folds.kind stratified splits them" in caplog.text


def test_groups_for_folds_that_ignore_them_are_refused(grouped, tmp_path):
    group = {"file": "scenes.csv", "id": "tile", "column": "scene"}
    config = load_config(None, {**grouped.model_dump(), "folds.kind": "kfold", "folds.group": group}, name="x")
    with pytest.raises(FoldsError, match=r"folds\.kind kfold ignores groups: use one of auto, "):
        Run.create(config, tmp_path).folds()
