"""Checks of images that are not 8-bit RGB."""

import cv2
import numpy as np
import pytest
from tests.checks.conftest import encode, texture
from tests.competitions.test_images import tif

from maskfold.checks import check_data, pixel_statistics
from maskfold.competitions import open_competition
from maskfold.config import CompetitionConfig, FoldsConfig

PROFILE = """\
layout: csv
metric: dice
train: {table: train.csv, image: "train/{id}.tif"}
test: {table: sample.csv, image: "test/{id}.tif"}
columns: {id: id, mask: rle}
image_spec: {channels: 4, dtype: uint16, scale: 1000, rgb: [3, 1, 0]}
"""


@pytest.fixture
def bands(tmp_path):
    """Six training images of four bands, the last a copy of the first; arrays by id."""
    arrays, rows = {}, ["id,rle"]
    for name in ("train", "test"):
        (tmp_path / name).mkdir()
    for number in range(6):
        picture = texture(0 if number == 5 else number, (48, 64)).astype(np.uint16)
        array = np.dstack([picture * 3, picture[..., :1] + np.uint16(100 * (number % 5))])
        arrays[f"i{number}"] = array
        (tmp_path / f"train/i{number}.tif").write_bytes(tif(array))
        mask = np.zeros((48, 64), np.uint8)
        mask[5:20, 10 : 20 + 4 * (number % 5)] = 1
        rows.append(f"i{number},{encode(mask)}")
    (tmp_path / "test/t.tif").write_bytes(tif(arrays["i1"][::-1] // 2))
    (tmp_path / "train.csv").write_text("\n".join(rows) + "\n")
    (tmp_path / "sample.csv").write_text("id,rle\nt,\n")
    (tmp_path / "p.yaml").write_text(PROFILE)
    return open_competition(CompetitionConfig(profile=str(tmp_path / "p.yaml"), root=tmp_path)), arrays


def test_statistics_thumbnails_and_copies(bands):
    competition, arrays = bands
    report = check_data(competition, FoldsConfig(kind="kfold", count=3))
    assert report.ok, report.problems
    pixels = np.concatenate([array.reshape(-1, 4) for array in arrays.values()]).astype(float)
    found = pixel_statistics(report.images, "train")
    assert list(found) == ["blue", "green", "channel 3", "red"]
    for channel, (mean, std) in enumerate(found.values()):
        assert mean == pytest.approx(pixels[:, channel].mean())
        assert std == pytest.approx(pixels[:, channel].std())
    shown = (arrays["i3"][..., [3, 1, 0]] / 1000 * 255).clip(0, 255).round().astype(np.uint8)
    grey = cv2.cvtColor(shown, cv2.COLOR_RGB2GRAY)
    assert (report.images.thumbnails[3] == cv2.resize(grey, (32, 32), interpolation=cv2.INTER_AREA)).all()
    assert any(text.startswith("2 train images are identical") and "i0" in text for text in report.warnings)
    assert "of 1000" in report.facts["colours (train)"]
    assert set(report.images.table["mode"]) == {"4 x uint16"}
    assert not any("image_spec.scale" in text for text in report.warnings)


def test_a_scale_far_above_the_values_is_a_warning(bands):
    """What 16 bits may hold is not what satellites of 11 bits send."""
    competition, arrays = bands
    path = competition.root / "p.yaml"
    path.write_text(PROFILE.replace("scale: 1000, ", ""))
    report = check_data(
        open_competition(CompetitionConfig(profile=str(path), root=competition.root)),
        FoldsConfig(kind="kfold", count=3),
    )
    pixels = np.concatenate([array.reshape(-1, 4) for array in arrays.values()]).astype(float)
    most = float(f"{(pixels.mean(0) + 3 * pixels.std(0)).max():.2g}")
    assert most < 2000
    (text,) = (text for text in report.warnings if "image_spec.scale" in text)
    assert text.startswith("image_spec.scale is 65535")
    assert f"Set image_spec.scale to {most:g}" in text


def test_images_of_several_files_are_named_by_all_of_them(tmp_path):
    rows = ["id,rle"]
    for name in ("train", "test"):
        (tmp_path / name).mkdir()
    for number in range(6):
        picture = texture(0 if number == 5 else number, (48, 64))
        if number == 2:
            picture[:] = 9
        for place in range(2):
            cv2.imwrite(str(tmp_path / f"train/i{number}_{place}.png"), picture[..., place])
        mask = np.zeros((48, 64), np.uint8)
        mask[5:20, 10 : 20 + 4 * (number % 5)] = 1
        rows.append(f"i{number},{encode(mask)}")
    (tmp_path / "train.csv").write_text("\n".join(rows) + "\n")
    (tmp_path / "sample.csv").write_text("id,rle\nt,\n")
    for place in range(2):
        cv2.imwrite(str(tmp_path / f"test/t_{place}.png"), texture(8, (48, 64))[..., place])
    profile = PROFILE.replace('"train/{id}.tif"', '["train/{id}_0.png", "train/{id}_1.png"]')
    profile = profile.replace('"test/{id}.tif"', '["test/{id}_0.png", "test/{id}_1.png"]')
    (tmp_path / "p.yaml").write_text(
        profile.replace("channels: 4, dtype: uint16, scale: 1000, rgb: [3, 1, 0]", "channels: 2")
    )
    competition = open_competition(CompetitionConfig(profile=str(tmp_path / "p.yaml"), root=tmp_path))
    report = check_data(competition, FoldsConfig(kind="kfold", count=3))
    assert report.ok, report.problems
    said = " ".join(report.warnings)
    assert "train/i0_0.png + train/i0_1.png = train/i5_0.png + train/i5_1.png" in said
    assert "1 images have a single colour: train/i2_0.png + train/i2_1.png" in said
    assert ("i2", "marks part of an image of a single colour") in {(item.id, item.reason) for item in report.suspicious}
    assert set(report.images.table["mode"]) == {"L + L"}
