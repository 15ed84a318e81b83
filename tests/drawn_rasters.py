"""Rasters drawn to files by rasterio itself, and a competition whose images are such rasters."""

import json
import shutil
import warnings
from pathlib import Path

import numpy as np
import pytest
import rasterio
import rasterio.features
import rasterio.warp
import torch
from tests.conftest import TINY, draw_scene, reference_rle

from maskfold.competitions import open_competition
from maskfold.config import Config, load_config
from maskfold.models import build_model
from maskfold.rasters import CutOptions
from maskfold.runs import Run
from maskfold.steps.tile import cut_competition

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


def draw_hubmap(root: Path) -> None:
    """Kaggle's HuBMAP in its files, far too small: five training tiffs and two of the test split."""
    rng = np.random.default_rng(11)
    train, test = ["id,encoding"], ["id,predicted"]
    for number in range(7):
        split, name = ("train" if number < 5 else "test"), f"{number}f{number}"
        image, mask = draw_scene(rng, 150 + 9 * number, 210 - 6 * number, buildings=40)
        write_tif(root / split / f"{name}.tiff", image)
        (train if split == "train" else test).append(f"{name},{reference_rle(mask) if split == 'train' else ''}")
    (root / "train.csv").write_text("\n".join(train) + "\n")
    (root / "sample_submission.csv").write_text("\n".join(test) + "\n")


def draw_scenes(folder: Path) -> None:
    """Two GeoTIFFs: north with polygons in degrees, south with a label raster."""
    rng = np.random.default_rng(12)
    for place, (name, height, width) in enumerate([("north", 560, 600), ("south", 530, 610)]):
        image, mask = draw_scene(rng, height, width, buildings=500)
        origin = rasterio.transform.from_origin(380_000, 5_820_000 - 900 * place, 0.3, 0.3)
        write_tif(folder / f"{name}.tif", image, crs="EPSG:32633", transform=origin)
        if name == "south":
            write_tif(folder / "south_mask.tif", mask[..., None] * 255)
            continue
        shapes = rasterio.features.shapes(mask, mask=mask.astype(bool), transform=origin)
        features = [
            {
                "type": "Feature",
                "properties": {},
                "geometry": rasterio.warp.transform_geom("EPSG:32633", "OGC:CRS84", shape),
            }
            for shape, _ in shapes
        ]
        (folder / "north.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": features}))


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


@pytest.fixture(scope="session")
def cut_kidneys(kidneys, tmp_path_factory) -> Path:
    """The same folder with tiles cut at half size; not to be written to."""
    folder = tmp_path_factory.mktemp("cut") / "kidneys"
    shutil.copytree(kidneys, folder)
    config = load_config(
        None, {"competition.profile": str(folder / "profile.yaml"), "competition.root": folder / "data"}
    )
    cut_competition(config, None, CutOptions(side=32, overlap=0.25, scale=0.5, block=2))
    return folder


def tile_config(folder: Path, name: str, **changed) -> Config:
    """A config that trains on the tiles of `cut_kidneys`."""
    own = {"competition.profile": str(folder / "data/tiles/profile_tiles.yaml"), "competition.root": folder / "data"}
    return load_config(None, {**TINY, **own, "folds.count": 2, "tta.views": "none", **changed}, name=name)


def random_run(config: Config, root: Path, folds=(0,)) -> Run:
    """A run with finished folds whose weights are random, and far enough from 0 to see every pixel's neighbours."""
    competition = open_competition(config.competition)
    run = Run.create(config, root)
    run.folds(competition)
    for fold in folds:
        torch.manual_seed(fold + len(config.name))
        labels = competition.labels
        model = build_model(config.model, classes=labels.channels, images=competition.images, pretrained=False)
        for parameter in model.parameters():
            if parameter.ndim == 4:
                torch.nn.init.kaiming_normal_(parameter, nonlinearity="relu")
        run.fold(fold).save_checkpoint("best", model.state_dict())
        run.fold(fold).finish({"candidates": {"best": 0.5}, "metric": "dice", "score": 0.5, "best_checkpoint": "best"})
    return run


LOCAL = {"model.architecture": "tests.rasters.local_network:Local", "model.encoder": "own", "model.options": {}}
