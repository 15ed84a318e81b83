"""Tuning on out-of-fold maps: thresholds times minimum areas, and the whole command, beside the usual loops.

    python benchmarks/bench_tune.py [--images 1000] [--size 512]

Maps are drawn: blurred masks with noise, so that every threshold finds other specks. The grid is 13 thresholds times 6
minimum areas, 78 settings, scored on every image; maps are read from their files, images one after the other. The usual
loop has the maps in memory as float32 and labels components for each setting; it sees the first few images, whose
scores are compared. Seconds are of processor time: all of it is one thread's.
"""

import argparse
import contextlib
import io
import tempfile
import time
from functools import partial
from itertools import product
from pathlib import Path

import cv2
import numpy as np
import torch
from scipy import ndimage

import maskfold
from maskfold.competitions import Competition
from maskfold.config import PostConfig
from maskfold.ensembling.checkpoints import oof_facts
from maskfold.ensembling.choice import EnsembleChoice, Mix
from maskfold.ensembling.oof import OofImage, oof_images
from maskfold.ensembling.settings import Scorer, Setting
from maskfold.ensembling.submit import default_choice
from maskfold.rle import rle_encode
from maskfold.runs import Run
from maskfold.training.memory import peak_memory
from timing import machine, print_row, print_rows

THRESHOLDS = tuple(round(0.2 + 0.05 * step, 2) for step in range(13))
AREAS = (0, 25, 50, 100, 200, 400)
LIMIT = 60.0  # seconds for 1000 images of 512 pixels a side


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=1000, help="images with maps (default 1000)")
    parser.add_argument("--size", type=int, default=512, help="their height and width in pixels (default 512)")
    parser.add_argument("--usual-images", type=int, default=5, help="those of the usual loop (default 5)")
    options = parser.parse_args()
    print(machine("numpy", "scipy", "opencv-python", "numba"))
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        run = begin(options.images, options.size)
        compare(run, options)


def begin(images: int, size: int) -> Run:
    """A run of five finished folds whose maps are drawn; the images themselves are never looked at."""
    root = Path("data")
    for part in ("train", "test_a"):
        (root / part).mkdir(parents=True)
    empty = cv2.imencode(".png", np.zeros((size, size, 3), np.uint8))[1].tobytes()
    scenes = [scene(size, seed) for seed in range(min(images, 40))]
    names = [f"{number:05}.png" for number in range(images)]
    for name in names:
        (root / "train" / name).write_bytes(empty)
    (root / "test_a" / "test.png").write_bytes(empty)
    rows = [f"{name}\t{rle_encode(scenes[number % len(scenes)][0])}" for number, name in enumerate(names)]
    (root / "train_mask.csv").write_text("\n".join(rows) + "\n")
    (root / "test_a_samplesubmit.csv").write_text("test.png\t\n")
    settings = {"competition.root": root, "tta.views": "none", "folds.kind": "kfold", "folds.group": None}
    run = Run.create(maskfold.load_config("demo", settings), Path("runs"))
    table = run.folds()
    found = {name: scenes[number % len(scenes)][1] for number, name in enumerate(names)}
    for fold in range(5):
        folder = run.fold(fold)
        folder.save_checkpoint("best", {"weight": torch.zeros(1)})
        with folder.oof("best").replace(oof_facts(folder, "best", run.config.tta)) as store:
            for name in table.query("fold == @fold and split == 'valid'")["id"]:
                store.write(name, found[name])
        folder.finish({"candidates": {"best": 0.5}, "metric": "dice"})
    return run


def scene(size: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """A mask, uint8 (H, W), and a map of it, float32 (1, H, W)."""
    rng, mask = np.random.default_rng(seed), np.zeros((size, size), np.uint8)
    for _ in range(rng.integers(2, 40)):
        centre, sides = rng.uniform(0, size, 2), rng.uniform(8, 50, 2)
        cv2.fillPoly(mask, [cv2.boxPoints((centre, sides, rng.uniform(0, 90))).astype(np.int32)], 1)
    noise = rng.normal(0, 0.3, mask.shape).astype(np.float32)
    blurred = cv2.GaussianBlur(cv2.GaussianBlur(mask.astype(np.float32), (0, 0), 3) + noise, (0, 0), 2)
    return mask, blurred.clip(0, 1)[None]


def compare(run: Run, options: argparse.Namespace) -> None:
    """The grid, the usual grid on a part of the images, and the command."""
    competition = run.competition()
    images = oof_images([run], [["best"]], competition, [run.config.tta])
    grid = settings(default_choice([run]))
    few = images[: options.usual_images]
    started = time.process_time()
    expected = usual(few, competition)
    usual_seconds = (time.process_time() - started) * len(images) / len(few)
    seconds, scores = timed(partial(ours, images, competition, grid))
    if not np.allclose(scores[:, : len(few)], expected, rtol=0, atol=1e-12):
        raise SystemExit("the scores differ")
    whole, _ = timed(lambda: quiet(lambda: maskfold.tune(run)))
    print(f"\n{len(images)} images, {options.size}x{options.size}; seconds of processor time\n")
    print_row("what", "maskfold", "theirs", "ratio", "limit", head=True)
    print_rows([(f"{len(grid)} settings on every image", seconds, usual_seconds, None)])
    verdict = "" if len(images) * options.size**2 < 1000 * 512**2 or seconds <= LIMIT else " (not reached)"
    print(f"\nlimit of the grid for 1000 images of 512 pixels a side: {LIMIT:g} s{verdict}")
    print(f"the command, all choices cross-fitted: {whole:.1f} s")
    print(f"peak memory: {peak_memory() / 2**20:.0f} MiB")


def settings(choice: EnsembleChoice) -> list[Setting]:
    """Every threshold with every minimum area."""
    posts = [PostConfig(threshold=threshold, min_area=area) for threshold, area in product(THRESHOLDS, AREAS)]
    return [Setting.of(choice.model_copy(update={"post": post})) for post in posts]


def ours(images: list[OofImage], competition: Competition, grid: list[Setting]) -> np.ndarray:
    """(settings, images): Dice."""
    scorer = Scorer(images, competition)
    quiet(lambda: scorer.look(grid))
    return np.stack([competition.metric.per_image(scorer.stats(each)) for each in grid])


def usual(images: list[OofImage], competition: Competition) -> np.ndarray:
    """(settings, images): Dice, each setting from the start, on maps that are in memory."""
    maps = [image.probability(Mix(("best",), (1.0,)))[0] for image in images]
    truths = [image.truth(competition).values for image in images]
    pairs = list(zip(maps, truths, strict=True))
    return np.array(
        [
            [usual_dice(without_small(found >= np.float32(threshold), area), truth) for found, truth in pairs]
            for threshold, area in product(THRESHOLDS, AREAS)
        ]
    )


def without_small(mask: np.ndarray, area: int) -> np.ndarray:
    """As kernels of competitions have it."""
    labels, count = ndimage.label(mask, np.ones((3, 3)))
    for number in range(1, count + 1):
        if np.sum(labels == number) < area:
            mask[labels == number] = 0
    return mask


def usual_dice(mask: np.ndarray, truth: np.ndarray) -> float:
    """1 where both are empty."""
    total = int(mask.sum()) + int(truth.sum())
    return 2 * int((mask & (truth == 1)).sum()) / total if total else 1.0


def timed(call):
    """Seconds of processor time, and what the call returns."""
    started = time.process_time()
    found = call()
    return time.process_time() - started, found


def quiet(call) -> None:
    """Without progress."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        call()


if __name__ == "__main__":
    main()
