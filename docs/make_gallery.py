"""Make docs/gallery.html: one page that shows the demo, a real run, the board, a study and a large raster.

After ``make demo``, from the repository's root: ``python docs/make_gallery.py --runs runs/A runs/B``. Of runs on other
people's images figures are shown, no pictures.
"""

import argparse
import io
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from PIL import Image

from maskfold.board import Board, Entry, make_board
from maskfold.board.columns import COLUMNS, interval, sorted_entries
from maskfold.competitions import open_competition
from maskfold.demo.draw import draw_scene
from maskfold.demo.plan import plan_scene
from maskfold.demo.tiles import GROUND
from maskfold.files import atomic_path
from maskfold.metrics import build_metric
from maskfold.report import overlay
from maskfold.report.differences import difference_row
from maskfold.report.pictures import data_uri
from maskfold.runs import Run
from maskfold.scoring.agreement import compare_masks
from maskfold.scoring.evaluate import evaluate_submission
from maskfold.steps.rasters import predict_rasters

HERE = Path(__file__).parent
EXPERIMENTS = HERE / "experiments.md"
MOST_BYTES = 2_000_000
QUALITY = 80
SIDE = 300  # pixels of a tile's picture, at most
WIDE = 900  # and of a raster's
SHOWN = ("run", "score", "low", "difference", "sure")  # columns of the board
BINS = 20


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
    page = {
        "demo": demo_section(demo, Path("submissions")),
        "run": run_section(board.reference) if board.reference else None,
        "board": board_section(board),
        "study": study_section(EXPERIMENTS, given.study),
        "raster": raster_section(demo, *given.tiles),
    }
    write_page(page, given.out)


def write_page(sections: dict[str, Any], path: Path) -> None:
    """Fill the template, which escapes what it is given."""
    environment = Environment(
        loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    text = environment.get_template("gallery_template.html").render(sections)
    if len(text.encode()) > MOST_BYTES:
        raise SystemExit(f"the page has {len(text.encode()):,} bytes, at most {MOST_BYTES:,} are wanted: show less")
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    print(f"{path}: {path.stat().st_size / 1e3:.0f} kB")


def picture(image: np.ndarray, title: str, side: int = SIDE) -> dict[str, Any]:
    """uint8 RGB (H, W, 3) as the template takes it, no side longer than ``side``."""
    shown = Image.fromarray(image)
    shown.thumbnail((side, side), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    shown.save(buffer, "WEBP", quality=QUALITY)
    return {"src": data_uri(buffer.getvalue(), "webp"), "width": shown.width, "height": shown.height, "title": title}


def demo_section(run: Run, folder: Path, count: int = 3) -> dict[str, Any]:
    """Both submissions of ``make demo``: their scores, and the tiles on which they differ most."""
    competition = open_competition(run.config.competition)
    truth = competition.root / "test_a_truth.csv"
    names = {"a": "one fold without views", "b": "all folds, views, tuned decoding"}
    paths = folder / "demo_one_fold.csv", folder / "demo_ensemble.csv"
    scores = [evaluate_submission(path, truth, competition).line() for path in paths]
    agreement, masks = compare_masks(*paths, competition), competition.read_masks(truth)
    differing = agreement.table[agreement.table["differing"] > 0].nlargest(count, "differing")["id"]
    titles = {"image": "image", "truth": "truth"} | {f"errors of {key}": f"errors: {names[key]}" for key in names}
    rows = [difference_row(agreement, competition, id_, masks) for id_ in differing]
    return {
        "scores": list(zip(names.values(), scores, strict=True)),
        "rows": [[picture(panel, titles[title]) for title, panel in row.items()] for row in rows],
    }


def run_section(entry: Entry) -> dict[str, Any]:
    """What is known of a run, and how its images score."""
    config, statistics = entry.config, entry.statistics
    assert config is not None  # the board's reference has both
    assert statistics is not None
    scores = build_metric(statistics.metric, statistics.labels, statistics.options).per_image(statistics.stats)
    counts, _ = np.histogram(scores, BINS, (0, 1))
    heights = 180 * counts / counts.max()
    facts = {
        "run": entry.name,
        "network": f"{config.model.architecture}, encoder {config.model.encoder}",
        f"{statistics.metric} out of fold": f"{entry.score:.4f} ({interval(entry.low, entry.high)})",
        "images scored": len(scores),
        "training": f"{config.train.epochs} epochs, {60 * (entry.hours or 0):.0f} minutes, {entry.device}",
    }
    return {
        "facts": list(facts.items()),
        "text": f"{len(scores)} images by their {statistics.metric}: the median is {np.median(scores):.3f}",
        "bars": [
            {"x": 20 + 30 * place, "y": round(205 - height, 1), "width": 27, "height": round(height, 1)}
            for place, height in enumerate(heights)
        ],
    }


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
    differences = {row[0]: row[place] for row in rows if row[place]}
    return {
        "name": name,
        "about": about,
        "setting": setting,
        "head": head[: place + 2],
        "rows": [row[: place + 2] for row in rows],
        "text": f"{head[place]}, each variant against its baseline",
        **intervals(differences),
    }


def intervals(differences: dict[str, str]) -> dict[str, Any]:
    """Where lines from the lower to the upper end stand, of texts such as ``+0.05 (+0.01 to +0.09)``."""
    values = {name: [float(word) for word in re.findall(r"[-+][\d.]+", text)] for name, text in differences.items()}
    low, high = min(0.0, *map(min, values.values())), max(0.0, *map(max, values.values()))

    def across(value: float) -> float:
        return round(200 + 300 * (value - low) / (high - low), 1)

    bars = [
        {
            "name": name,
            "value": differences[name],
            "middle": across(middle),
            "start": across(start),
            "end": across(end),
            "low": middle < 0,
        }
        for name, (middle, start, end) in values.items()
    ]
    return {"zero": across(0.0), "bars": bars}


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
