"""The demo's files: scenes cut into tiles and written in the layout of Tianchi competition 531872."""

import csv
import os
import string
import tempfile
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from maskfold.demo.annotators import HABITS, annotate
from maskfold.demo.draw import draw_scene
from maskfold.demo.plan import plan_scene
from maskfold.errors import CompetitionError
from maskfold.rle import rle_encode

GROUND = 80.0  # metres of ground along a tile's side, whatever its size in pixels
MOST_TILES = 16  # cut from one scene
LEAST_SCENES = 5  # per part: five grouped folds need five groups
JPEG_QUALITY = 92
LIMITS = {
    "train_tiles": (1, 100_000),
    "test_tiles": (1, 100_000),
    "tile": (32, 1024),
    "seed": (0, 2**32 - 1),
    "annotators": (0, len(HABITS)),
}
FOLDERS = {"train": "train", "test": "test_a"}
TRUTHS = {"train": "train_mask.csv", "test": "test_a_truth.csv"}
SAMPLE = "test_a_samplesubmit.csv"
GROUPS = "groups.csv"
LAYOUT = {*FOLDERS.values(), *TRUTHS.values(), SAMPLE, GROUPS}
ANNOTATED = tuple(f"train_mask_{number}.csv" for number in range(1, len(HABITS) + 1))


class DemoError(CompetitionError):
    """The demo data cannot be made as asked."""


@dataclass(frozen=True)
class Tile:
    """One row of the data set."""

    name: str
    scene: str
    rles: tuple[str, ...]  # the true one, and one by each annotator


def make_demo(folder: Path, *, seed: int = 0, train_tiles: int = 160, test_tiles: int = 60, tile: int = 192,
              annotators: int = 0, overwrite: bool = False) -> None:  # fmt: skip
    """Draw the demo data set into `folder`: whole or not at all, and the same for the same arguments.

    `train/` and `test_a/` hold JPEG tiles of `tile` x `tile` pixels, each 80 x 80 metres of ground;
    `train_mask.csv` and (withheld in a real competition) `test_a_truth.csv` their roofs, run-length encoded;
    `test_a_samplesubmit.csv` the test names with empty masks; `groups.csv` the scene each tile was cut from.
    No scene has tiles in both parts. A mask is the outline of the roofs, also where a tree hangs over one.
    With `annotators`, `train_mask_1.csv` and so on hold what so many people with different habits drew of the same
    training tiles (`maskfold.demo.annotators`); all other files stay the same.

    folder: created if it does not exist; a complete demo there is replaced only with `overwrite`, anything else never.
    Raises DemoError for numbers out of range and for a folder that must not be replaced.
    """
    _check(train_tiles=train_tiles, test_tiles=test_tiles, tile=tile, seed=seed, annotators=annotators)
    _check_replaceable(folder, overwrite)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as workspace:
        new = Path(workspace) / "new"
        _write(new, seed, {"train": train_tiles, "test": test_tiles}, tile, annotators)
        _replace(folder, new, Path(workspace) / "old")


def _check(**values: int) -> None:
    for name, value in values.items():
        least, most = LIMITS[name]
        if not least <= value <= most:
            raise DemoError(f"{name} is {value}; choose a number from {least} to {most}")


def _check_replaceable(folder: Path, overwrite: bool) -> None:
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    if not is_demo(folder):
        raise DemoError(f"{folder} holds other files than the demo data; choose another folder or empty it")
    if not overwrite:
        raise DemoError(f"{folder} already holds the demo data; use it, or replace it with --overwrite")


def is_demo(folder: Path) -> bool:
    """Whether a folder holds a complete demo data set and nothing else."""
    if not folder.is_dir() or {path.name for path in folder.iterdir()} - {*ANNOTATED} != LAYOUT:
        return False
    with (folder / GROUPS).open(newline="", encoding="utf-8") as file:
        listed = sorted(row[0] for row in list(csv.reader(file))[1:] if row)
    return sorted(path.name for part in FOLDERS.values() for path in (folder / part).iterdir()) == listed


def _replace(folder: Path, new: Path, old: Path) -> None:
    """Move `new` to `folder`, and what is there to `old`; if that fails, all is as before."""
    if folder.exists():
        os.rename(folder, old)
    try:
        os.rename(new, folder)
    except OSError:
        if old.exists():
            os.rename(old, folder)
        raise


def _write(folder: Path, seed: int, numbers: dict[str, int], tile: int, annotators: int) -> None:
    names = _names(np.random.default_rng(seed), sum(numbers.values()))
    groups: list[Tile] = []
    with tqdm(total=len(names), desc="drawing tiles", unit="tile", disable=None) as progress:
        for part, number in numbers.items():
            (folder / FOLDERS[part]).mkdir(parents=True)
            tiles: list[Tile] = []
            for scene, cells in enumerate(np.array_split(np.arange(number), _scenes(number))):
                place = [seed, list(FOLDERS).index(part), scene]
                chosen = [names.pop() for _ in cells]
                drawing = annotators if part == "train" else 0
                rows = _cut_scene(place, folder / FOLDERS[part], chosen, tile, drawing)
                tiles += [Tile(name, f"{part}_{scene:02d}", rles) for name, rles in rows]
                progress.update(len(cells))
            tiles.sort(key=lambda row: row.name)
            for number, table in enumerate([TRUTHS[part], *ANNOTATED[: annotators if part == "train" else 0]]):
                _write_rows(folder / table, [(row.name, row.rles[number]) for row in tiles])
            groups += tiles
    _write_rows(folder / SAMPLE, [(row.name, "") for row in tiles])
    scenes = [("name", "scene"), *((row.name, row.scene) for row in groups)]
    _write_rows(folder / GROUPS, scenes, separator=",")


def _scenes(tiles: int) -> int:
    return max(-(-tiles // MOST_TILES), min(tiles, LEAST_SCENES))


def _cut_scene(
    place: list[int], folder: Path, names: list[str], tile: int, annotators: int
) -> list[tuple[str, tuple[str, ...]]]:
    """Draw one scene, write its tiles as `names`, and return the name and masks of each.

    place: seed, part and number of the scene; it is a function of them, and so is what each annotator draws.
    """
    rng = np.random.default_rng(place)
    columns = int(np.ceil(np.sqrt(len(names))))
    rows = -(-len(names) // columns)
    plan = plan_scene(rng, columns * GROUND, rows * GROUND)
    image, mask = draw_scene(rng, plan, tile / GROUND)
    hands = [np.random.default_rng([*place, number]) for number in range(1, annotators + 1)]
    drawn = [annotate(hand, mask, habits, tile / GROUND) for hand, habits in zip(hands, HABITS, strict=False)]
    tiles = []
    for cell, name in enumerate(names):
        row, column = divmod(cell, columns)
        window = np.s_[row * tile : (row + 1) * tile, column * tile : (column + 1) * tile]
        _write_jpeg(folder / name, image[window])
        tiles.append((name, tuple(rle_encode(whole[window]) for whole in (mask, *drawn))))
    return tiles


def _names(rng: np.random.Generator, number: int) -> list[str]:
    """Different names of ten capitals and digits, as the competition's: their order tells nothing."""
    alphabet = np.array(list(string.ascii_uppercase + string.digits))
    names: dict[str, None] = {}
    while len(names) < number:
        names["".join(rng.choice(alphabet, 10)) + ".jpg"] = None
    return list(names)


def _write_jpeg(path: Path, image: np.ndarray) -> None:
    written, data = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    if not written:
        raise DemoError(f"OpenCV could not encode {path.name} as JPEG")
    path.write_bytes(data.tobytes())


def _write_rows(path: Path, rows: list[tuple[str, str]], separator: str = "\t") -> None:
    path.write_text("".join(separator.join(row) + "\n" for row in rows), encoding="utf-8")
