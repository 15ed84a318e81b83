import cv2
import numpy as np
import pandas as pd
import pytest
from tests.competitions.conftest import write_image

from maskfold.checks import check_data
from maskfold.checks.tiles import shared_pixels
from maskfold.competitions import open_competition
from maskfold.config import CompetitionConfig, FoldsConfig, GroupConfig

PLACES = pd.DataFrame(
    [
        ("a", "x", 0, 0, 10, 20),
        ("b", "x", 9, 19, 10, 20),  # one pixel of a
        ("c", "x", 10, 0, 10, 19),  # beside both
        ("d", "y", 0, 0, 10, 20),  # of another raster
        ("e", "x", 5, 5, 3, 3),  # inside a
        ("f", "x", 95, 95, 10, 20),
    ],
    columns=["id", "scene", "top", "left", "height", "width"],
)


def fold(**splits):
    return pd.DataFrame(
        [(0, id_, split) for split, ids in splits.items() for id_ in ids], columns=["fold", "id", "split"]
    )


@pytest.mark.parametrize(
    ("valid", "train", "shared"),
    [("a", "b", "a"), ("a", "cdf", ""), ("ac", "bdf", "a"), ("e", "a", "e"), ("be", "a", "be"), ("d", "abcef", "")],
)
def test_tiles_that_share_pixels(valid, train, shared):
    assert sorted(shared_pixels(PLACES, fold(valid=valid, train=train))["id"]) == sorted(shared)


def test_many_tiles_as_by_comparing_all_with_all():
    rng = np.random.default_rng(5)
    places = pd.DataFrame(rng.integers(0, 300, (120, 2)), columns=["top", "left"]).assign(
        id=[f"t{number}" for number in range(120)],
        scene=rng.choice(["x", "y"], 120),
        height=rng.integers(1, 40, 120),
        width=rng.integers(1, 60, 120),
    )
    splits = rng.choice(["train", "valid"], 120)
    folds = pd.DataFrame({"fold": 0, "id": places["id"], "split": splits})
    drawn = {}
    for row in places.itertuples():
        drawn[row.id] = {
            (row.scene, y, x)
            for y in range(row.top, row.top + row.height)
            for x in range(row.left, row.left + row.width)
        }
    train = [drawn[id_] for id_, split in zip(places["id"], splits, strict=True) if split == "train"]
    expected = {
        id_
        for id_, split in zip(places["id"], splits, strict=True)
        if split == "valid" and any(drawn[id_] & t for t in train)
    }
    assert set(shared_pixels(places, folds)["id"]) == expected != set()


def tiles_in(folder):
    """Ten tiles along a strip, each of which overlaps the next by half."""
    (folder / "masks").mkdir()
    rows = []
    for number in range(10):
        name = f"s_0_{16 * number}"
        write_image(folder / "images" / f"{name}.png", number, (32, 32))
        (folder / "masks" / f"{name}.png").write_bytes(mask_png())
        rows.append(f"{name},s,{number // 5},0,{16 * number},32,32")
    (folder / "tiles.csv").write_text("id,scene,block,top,left,height,width\n" + "\n".join(rows) + "\n")
    return open_competition(CompetitionConfig(profile="png-masks", root=folder))


def mask_png():
    mask = np.zeros((32, 32), np.uint8)
    mask[3:9, 4:20] = 255
    return cv2.imencode(".png", mask)[1].tobytes()


def test_check_data_warns_of_them(tmp_path):
    competition = tiles_in(tmp_path)
    config = FoldsConfig(kind="grouped", count=2, group=GroupConfig(file="tiles.csv", column="block"))
    report = check_data(competition, config)
    warning = next(text for text in report.warnings if "share pixels" in text)
    assert warning.startswith("2 validation tiles share pixels with training tiles of their fold")
    assert "s_0_64 in fold" in warning
    assert "s_0_80 in its training split" in warning
    (tmp_path / "tiles.csv").write_text((tmp_path / "tiles.csv").read_text().replace(",80,32,32", ",96,32,32"))
    report = check_data(competition, config)
    assert not any("share pixels" in text for text in report.warnings)
    assert report.facts["tiles"] == "of 1 rasters; none shares pixels with another split"
