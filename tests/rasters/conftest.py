"""Rasters drawn to files by rasterio itself, and a competition whose images are such rasters."""

import warnings
from pathlib import Path

import numpy as np
import pytest
from tests.conftest import draw_scene, reference_rle

rasterio = pytest.importorskip("rasterio")
PROFILE = """
layout: csv
title: kidneys
metric: dice
train: {table: train.csv, image: "train/{id}.tif"}
test: {table: sample_submission.csv, image: "test/{id}.tif"}
columns: {id: id, mask: encoding}
class_names: [glomerulus]
"""


def write_tif(path, image, **options):
    """An image (H, W, C) as a tif, in blocks where it is large enough for one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    height, width, channels = image.shape
    blocks = {"tiled": True, "blockxsize": 32, "blockysize": 16, "compress": "deflate"}
    shape = {"height": height, "width": width, "count": channels, "dtype": image.dtype}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
        with rasterio.open(path, "w", driver="GTiff", **shape, **{**blocks, **options}) as file:
            file.write(np.moveaxis(image, -1, 0))
    return path


@pytest.fixture(scope="session")
def kidneys(tmp_path_factory) -> Path:
    """A folder with profile.yaml and data/: two training rasters, two of the test split; not to be written to."""
    folder = tmp_path_factory.mktemp("kidneys")
    rng = np.random.default_rng(8)
    rows = {"train": ["id,encoding"], "test": ["id,encoding"], "truth": ["id,encoding"]}
    for split, name, height, width in [
        ("train", "aa1", 150, 203),
        ("train", "bb2", 131, 97),
        ("test", "cc3", 141, 190),
        ("test", "dd4", 60, 70),
    ]:
        image, mask = draw_scene(rng, height, width, buildings=height // 8)
        write_tif(folder / "data" / split / f"{name}.tif", image)
        rows["truth" if split == "test" else split].append(f"{name},{reference_rle(mask)}")
        if split == "test":
            rows[split].append(f"{name},")
    for name, lines in zip(("train", "sample_submission", "truth"), rows.values(), strict=True):
        (folder / "data" / f"{name}.csv").write_text("\n".join(lines) + "\n")
    (folder / "profile.yaml").write_text(PROFILE)
    return folder
