"""Make docs/gallery.html: one page that shows the demo, a real run, the board, a study and a large raster.

After ``make demo``, from the repository's root: ``python docs/make_gallery.py --runs runs/A runs/B``. Of runs on other
people's images figures are shown, no pictures.
"""

import argparse
import math
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import rasterio

from maskfold.board import Board, Entry, make_board
from maskfold.board.columns import COLUMNS, interval, number, sorted_entries
from maskfold.competitions import open_competition
from maskfold.demo.draw import draw_scene
from maskfold.demo.plan import plan_scene
from maskfold.demo.tiles import GROUND
from maskfold.drawing import fitting_size, overlay
from maskfold.files import write_file
from maskfold.metrics import PairedResult, build_metric
from maskfold.report.data_pictures import Card, Panel
from maskfold.report.differences import difference_row
from maskfold.report.figures import label_of, score_chart
from maskfold.report.page import render_page
from maskfold.report.pictures import data_uri, encode_photograph
from maskfold.runs import Run
from maskfold.scoring.agreement import compare_masks
from maskfold.scoring.evaluate import evaluate_submission
from maskfold.steps.rasters import predict_rasters
from maskfold.studies.chart import difference_charts

HERE = Path(__file__).parent
EXPERIMENTS = HERE / "experiments.md"
MOST_BYTES = 150_000  # of a picture
SIDE = 300  # pixels of a tile's picture, at most
WIDE = 900  # and of a raster's
SHOWN = ("run", "score", "low", "difference", "sure")  # columns of the board
TITLES = {"errors of a": "errors of one fold", "errors of b": "errors of the ensemble"}


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--demo", type=Path, default=Path("runs/demo"), help="the demo's run; default: runs/demo")
    parser.add_argument("--runs", type=Path, nargs="+", default=[], help="runs of one real competition")
    parser.add_argument("--study", default="camvid_losses", help="section of docs/experiments.md")
    parser.add_argument("--tiles", type=int, nargs=2, default=(10, 7), help="the raster's width and height in tiles")
    parser.add_argument("--out", type=Path, default=HERE / "gallery.html", help="default: docs/gallery.html")
    given = parser.parse_args(arguments)
    board = make_board([Run.open(path) for path in given.runs], Path("submissions/log.csv"))
    demo = Run.open(given.demo)
    page = render_page(
        HERE / "gallery_template.html",
        title="maskfold: a gallery",
        demo=demo_section(demo, Path("submissions")),
        run=run_section(board.reference) if board.reference else None,
        board=board_section(board),
        study=study_section(EXPERIMENTS, given.study),
        raster=raster_section(demo, *given.tiles),
    )
    write_file(given.out, page)
    print(f"{given.out}: {given.out.stat().st_size / 1e3:.0f} kB")


def picture(image: np.ndarray, text: str, side: int) -> Panel:
    """A photograph of uint8 RGB (H, W, 3), no side longer than ``side``."""
    width, height = fitting_size(image.shape[:2], side)
    small = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
    return Panel("image", text, data_uri(encode_photograph(small, MOST_BYTES), "webp"), width, height)


def demo_section(run: Run, folder: Path, count: int = 3) -> dict[str, Any]:
    """Both submissions of ``make demo``: their scores, and the tiles on which they differ most."""
    competition = open_competition(run.config.competition)
    truth = competition.root / "test_a_truth.csv"
    paths = folder / "demo_one_fold.csv", folder / "demo_ensemble.csv"
    scores = [evaluate_submission(path, truth, competition).line() for path in paths]
    agreement, masks = compare_masks(*paths, competition), competition.read_masks(truth)
    differing = agreement.table[agreement.table["differing"] > 0].nlargest(count, "differing")["id"]
    rows = {id_: difference_row(agreement, competition, id_, masks) for id_ in differing}
    return {
        "scores": dict(zip(("one fold without views", "all folds, views, tuned decoding"), scores, strict=True)),
        "cards": [
            Card(id_, "", tuple(picture(panel, TITLES.get(title, title), SIDE) for title, panel in row.items()))
            for id_, row in rows.items()
        ],
    }


def run_section(entry: Entry) -> dict[str, Any]:
    """What is known of a run, and how its images score."""
    config, statistics = entry.config, entry.statistics
    assert config is not None  # the board's reference has both
    assert statistics is not None
    scores = build_metric(statistics.metric, statistics.labels, statistics.options).per_image(statistics.stats)
    label = label_of(statistics.metric)
    facts = {
        "run": entry.name,
        "network": f"{config.model.architecture}, encoder {config.model.encoder}",
        f"{label} out of fold": f"{number(entry.score)} ({interval(entry.low, entry.high)})",
        "images scored": int(np.isfinite(scores).sum()),
        "training": f"{config.train.epochs} epochs, {60 * (entry.hours or 0):.0f} minutes, {entry.device}",
    }
    return {"facts": facts, "chart": score_chart(scores, label)}


def board_section(board: Board) -> dict[str, Any]:
    """The runs, best first, in some of the board's columns."""
    columns = [column for column in COLUMNS if column.name in SHOWN]
    score = next(column for column in columns if column.name == "score")
    return {
        "head": [column.title for column in columns],
        "rows": [[column.text(entry) for column in columns] for entry in sorted_entries(board.entries, score)],
    }


def study_section(document: Path, name: str) -> dict[str, Any]:
    """A section of docs/experiments.md: its table, and its differences as intervals."""
    found = re.search(rf"^## {re.escape(name)}\n(.*?)(?=^## |\Z)", document.read_text(), re.DOTALL | re.MULTILINE)
    if found is None:
        raise SystemExit(f"{document} has no section {name}: --study is the heading of one")
    about, setting, *_ = found[1].strip().split("\n\n")
    lines = re.findall(r"^\|(.*)\|$", found[1], re.MULTILINE)
    head, _, *rows = [[cell.strip() for cell in line.split("|")] for line in lines]
    place = next(number for number, title in enumerate(head) if title.startswith("difference"))
    return {
        "name": name,
        "about": about,
        "setting": setting,
        "head": head[: place + 2],
        "rows": [row[: place + 2] for row in rows],
        "charts": difference_charts(head[1], {row[0]: paired_result(row[place]) for row in rows if row[place]}),
    }


def paired_result(text: str) -> PairedResult:
    """What ``+0.05 (+0.01 to +0.09)`` or ``+0.05 (no interval)`` says."""
    difference, low, high = ([float(word) for word in re.findall(r"[-+][\d.]+", text)] + [math.nan] * 2)[:3]
    return PairedResult(difference, low, high, share_better=math.nan)


def raster_section(run: Run, columns: int, rows: int) -> dict[str, Any]:
    """A drawn scene of so many tiles, predicted by windows by the run's first fold."""
    competition = open_competition(run.config.competition)
    tile = competition.mask_size(competition.samples("test")[0])[0]
    rng = np.random.default_rng(7)
    image, truth = draw_scene(rng, plan_scene(rng, columns * GROUND, rows * GROUND), tile / GROUND)
    with tempfile.TemporaryDirectory() as folder:
        path, out = Path(folder) / "scene.tif", Path(folder) / "predicted.tif"
        _write_tif(path, image)
        predict_rasters(run, [path], out, folds=[0], untuned=True, overrides={"tta.views": "none"})
        with rasterio.open(out) as file:
            mask = (file.read(1) > 0).astype(np.uint8)
    score = 2 * int((mask & truth).sum()) / max(1, int(mask.sum()) + int(truth.sum()))
    top, left = [max(0, side // 2 - tile) for side in image.shape[:2]]
    detail = np.s_[top : top + 2 * tile, left : left + 2 * tile]
    size = f"{image.shape[1]} x {image.shape[0]} pixels"
    return {
        "run": str(run.path),
        "text": f"A drawn scene of {size}, {columns * rows} times a training tile, by one fold: Dice {score:.3f}.",
        "panels": [
            picture(image, f"the scene, {size}", WIDE),
            picture(overlay(image, mask), "its buildings, as predicted", WIDE),
            picture(overlay(image[detail], mask[detail]), "the middle at full size, across borders of windows", WIDE),
        ],
    }


def _write_tif(path: Path, image: np.ndarray) -> None:
    height, width, bands = image.shape
    place = rasterio.Affine(1, 0, 0, 0, -1, height)
    options = {"height": height, "width": width, "count": bands, "dtype": "uint8", "tiled": True, "transform": place}
    with rasterio.open(path, "w", driver="GTiff", compress="deflate", **options) as file:
        file.write(np.moveaxis(image, -1, 0))


if __name__ == "__main__":
    main()
