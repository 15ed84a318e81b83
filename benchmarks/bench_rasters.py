"""Seconds and peak memory of cutting and predicting one large raster, each command in a process of its own.

    python benchmarks/bench_rasters.py [--side PIXELS] [--scale S] [--most-memory GB] [--folder FOLDER]

The raster is drawn block by block into a compressed tif; the network is tiny and its weights are random, since only
time and memory count: its answer is the brightness, so that masks have runs and polygons as a trained network's have.
What the commands wrote is compared with each other: the submission's run lengths, the tif.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import rasterio
import torch

from maskfold.competitions import open_competition
from maskfold.config import load_config
from maskfold.models import build_model
from maskfold.rle import RLEDialect
from maskfold.runs import Run

SOURCE = Path(__file__).parents[1] / "src"
BLOCK = 512
PROFILE = """layout: csv
metric: dice
train: {table: train.csv, image: "train/{id}.tif"}
test: {table: sample_submission.csv, image: "test/{id}.tif"}
columns: {id: id, mask: rle}
class_names: [building]
"""
NETWORK = """import segmentation_models_pytorch as smp


class Bright(smp.Unet):
    def forward(self, x):
        return super().forward(x) * 0 + 4 * x.mean(1, keepdim=True)
"""
MODEL = {
    "model.architecture": "bright:Bright",
    "model.encoder": "mobilenet_v2",
    "model.encoder_weights": None,
    "model.options": {"encoder_depth": 3, "decoder_channels": [16, 8, 8]},
    "train.precision": "fp32",
    "data.workers": 0,
    "inference.batch_size": 2,
    "tta.views": "none",
    "post.min_area": 400,
    "post.fill_holes": 400,
}


def draw(folder: Path, side: int) -> Path:
    """A competition with one raster, which is its training and its test image."""
    size = (side, side - 77)  # not square, no multiple of anything
    (folder / "data/train").mkdir(parents=True)
    (folder / "data/test").mkdir()
    path = folder / "data/train/scene.tif"
    options = {"tiled": True, "blockxsize": BLOCK, "blockysize": BLOCK, "compress": "deflate", "zlevel": 1}
    place = {"crs": "EPSG:32633", "transform": rasterio.transform.from_origin(380_000, 5_820_000, 0.3, 0.3)}
    shape = {"height": size[0], "width": size[1], "count": 3, "dtype": "uint8"}
    with rasterio.open(path, "w", driver="GTiff", **shape, **options, **place) as file:
        for top in range(0, size[0], BLOCK):
            rows = slice(top, min(top + BLOCK, size[0]))
            band = np.stack([buildings(rows, slice(0, size[1])) * 90 + 70 + 20 * k for k in range(3)]).astype(np.uint8)
            band += (np.indices(band.shape[1:]).sum(0) % 7).astype(np.uint8)
            file.write(band, window=((rows.start, rows.stop), (0, size[1])))
    os.link(path, folder / "data/test/scene.tif")
    strips = (buildings(slice(0, size[0]), slice(x, min(x + 64, size[1]))) for x in range(0, size[1], 64))
    rle = RLEDialect().encode_parts(strips, size)
    (folder / "data/train.csv").write_text(f"id,rle\nscene,{rle}\n")
    (folder / "data/sample_submission.csv").write_text("id,rle\nscene,\n")
    (folder / "profile.yaml").write_text(PROFILE)
    (folder / "bright.py").write_text(NETWORK)
    return path


def buildings(rows: slice, columns: slice) -> np.ndarray:
    """uint8 (h, w): rectangles on a grid, in two of three of its cells."""
    y, x = np.arange(rows.start, rows.stop)[:, None], np.arange(columns.start, columns.stop)
    there = (y // 97 * 7 + x // 131 * 5) % 3 > 0
    return (there & (y % 97 > 30) & (x % 131 > 40)).astype(np.uint8)


def random_run(folder: Path, profile: Path) -> Run:
    """A run with one finished fold."""
    overrides = {
        **MODEL,
        "competition.profile": str(profile),
        "competition.root": folder / "data",
        "folds.kind": "kfold",
        "folds.count": 2,
    }
    config = load_config(None, overrides, name="bench")
    competition = open_competition(config.competition)
    torch.manual_seed(0)
    sys.path.insert(0, str(folder))
    network = build_model(config.model, classes=competition.labels.channels, pretrained=False)
    run = Run.create(config, folder / "runs")
    run.folds(competition)
    run.fold(0).save_checkpoint("best", network.state_dict())
    run.fold(0).finish({"candidates": {"best": 0.5}, "metric": "dice", "score": 0.5, "best_checkpoint": "best"})
    return run


def measured(folder: Path, *words: object) -> tuple[float, float]:
    """Seconds and peak gigabytes of a command's process."""
    start = time.perf_counter()
    environment = {**os.environ, "PYTHONPATH": str(SOURCE)}
    process = subprocess.Popen([sys.executable, *map(str, words)], cwd=folder, env=environment)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{' '.join(map(str, words))} failed")
    return time.perf_counter() - start, usage.ru_maxrss * 1024 / 1e9


def compare(folder: Path) -> float:
    """The submission's run lengths and the tif must be one mask; returns its share of foreground."""
    with rasterio.open(folder / "scene_mask.tif") as file:
        runs = RLEDialect().runs((folder / "submission.csv").read_text().splitlines()[1].split(",")[1], file.shape)
        for top in range(0, file.height, 2 * BLOCK):
            rows = slice(top, min(top + 2 * BLOCK, file.height))
            wanted = file.read(1, window=((rows.start, rows.stop), (0, file.width)))
            if not np.array_equal(runs.window(rows, slice(0, file.width)), wanted):
                raise SystemExit(f"rows {rows.start} to {rows.stop} of the submission and of the tif differ")
        return runs.area / (file.height * file.width)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--side", type=int, default=20_000, help="height of the raster in pixels; default 20000")
    parser.add_argument("--scale", type=float, default=1.0, help="scale of the tiles; default 1")
    parser.add_argument("--most-memory", type=float, default=2.0, metavar="GB", help="a process that takes more fails")
    parser.add_argument("--folder", type=Path, help="where to work, empty; default: a temporary folder")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.folder or Path(temporary)
        raster = draw(folder, arguments.side)
        print(
            f"{arguments.side} x {arguments.side - 77} pixels, {raster.stat().st_size / 1e6:.0f} MB, tiles at scale "
            f"{arguments.scale:g}\n| command | seconds | peak GB |\n| --- | ---: | ---: |",
            flush=True,
        )
        own = ("--competition.profile", "profile.yaml", "--competition.root", "data")
        steps = {"tile cut": ("tile.py", "cut", *own, "--size", 512, "--scale", arguments.scale)}
        steps["predict"] = ("predict.py", "--runs", "runs/bench", "--out", "submission.csv")
        steps["tile predict"] = ("tile.py", "predict", raster, "--runs", "runs/bench", "--out", "scene_mask.tif")
        steps["tile predict, GeoJSON"] = (*steps["tile predict"][:-1], "scene.geojson")
        worst = 0.0
        for name, (script, *words) in steps.items():
            seconds, memory = measured(folder, SOURCE / script, *words)
            worst = max(worst, memory)
            print(f"| {name} | {seconds:.0f} | {memory:.2f} |", flush=True)
            if name == "tile cut":
                random_run(folder, folder / "data/tiles/profile_tiles.yaml")
        print(f"The submission and the tif are one mask, {compare(folder):.1%} of it foreground.")
        if worst > arguments.most_memory:
            raise SystemExit(f"{worst:.2f} GB is more than {arguments.most_memory:g} GB")


if __name__ == "__main__":
    main()
