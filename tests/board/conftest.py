"""Runs without training: what their folds' scoring found is drawn."""

from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from maskfold.config import load_config
from maskfold.labels import LabelSpec
from maskfold.runs import Run
from maskfold.runs.statistics import FoldStatistics, write_statistics

LABELS = LabelSpec("binary", ("building",))
IMAGES = [f"im{number:03d}.jpg" for number in range(60)]


def counts(rng: np.random.Generator, images: int, quality: float) -> np.ndarray:
    """TP, FP, FN of some images."""
    area = rng.integers(50, 900, images)
    hit = np.rint(area * np.clip(quality + 0.1 * rng.normal(size=images), 0, 1))
    return np.stack([hit, rng.integers(0, 120, images), area - hit], 1).astype(float)


def draw_fold(run: Run, fold: int, rng, quality: float, *, groups=False, stored=True) -> float:
    """Draw what scoring a fold found, store it, and return its score."""
    ids, stats = IMAGES[fold::3], counts(rng, 20, quality)
    scene = [f"scene{n // 9}" for n in range(fold, 60, 3)] if groups else None
    if stored:
        write_statistics(run.fold(fold), "best", FoldStatistics("dice", LABELS, ids, stats, scene))
    return float(np.mean(2 * stats[:, 0] / (2 * stats[:, 0] + stats[:, 1] + stats[:, 2])))


def drawn_run(
    root: Path, name: str, *, quality=0.8, draw=0, folds=(0, 1, 2), groups=False, stored=True, facts=None, **changes
) -> Run:
    """A run of three folds on 60 images, every third image validated by one; ``folds`` are finished."""
    config = load_config(None, {key.replace("__", "."): value for key, value in changes.items()}, name=name)
    run = Run.create(config, root)
    lines = ["fold,id,split,times"]
    lines += [f"{k},{i},{'valid' if n % 3 == k else 'train'},1" for k in range(3) for n, i in enumerate(IMAGES)]
    run.folds_path.write_text("\n".join(lines) + "\n")
    rng = np.random.default_rng(draw)
    for fold in range(3):
        if fold not in folds:
            counts(rng, 20, quality)  # what the others find does not depend on it
            continue
        score = draw_fold(run, fold, rng, quality, groups=groups, stored=stored)
        ended = datetime(2026, 3, 1 + fold, 12, 30).astimezone() + timedelta(minutes=draw)
        known = {
            "seconds": 1800.0 + 600 * fold,
            "processes": 1,
            "device": "cpu",
            "ended": ended.isoformat(timespec="seconds"),
            "valid_images": 20,
        }
        run.fold(fold).save_checkpoint("best", {})
        run.fold(fold).finish({"metric": "dice", "candidates": {"best": score}, **(known if facts is None else facts)})
    return run


@pytest.fixture
def root(tmp_path, monkeypatch) -> Path:
    """``runs/`` of an empty current folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path / "runs"
