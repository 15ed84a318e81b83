"""A tiny competition in the reference layout, and configs that train on it within seconds."""

import gc
import os
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from maskfold.config import Config, load_config

pytest_plugins = ["tests.drawn_runs", "tests.drawn_rasters", "tests.buckets"]

TINY = {
    "model.encoder": "mobilenet_v2",
    "model.encoder_weights": None,
    "model.options": {"encoder_depth": 3, "decoder_channels": [16, 8, 8]},
    "data.crop": 32,
    "data.workers": 0,
    "folds.count": 3,
    "train.epochs": 2,
    "train.batch_size": 4,
    "train.precision": "fp32",
    "train.trackers": [],
    "tune.tried": {"threshold": [0.4, 0.5, 0.6], "fill_holes": [0], "min_area": [0, 9]},
    "optim.lr": 0.01,
}


@pytest.fixture(autouse=True, scope="session")
def _own_cache(tmp_path_factory):
    os.environ["MASKFOLD_CACHE"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(autouse=True, scope="session")
def _thawed():
    yield
    gc.unfreeze()


@pytest.fixture(autouse=True, scope="module")
def _frozen(_thawed):
    # A fold ends with a collection of garbage, which looked at all modules and tests that there are.
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def _one_thread():
    # Two test processes on two cores: more threads only get in each other's way.
    torch.set_num_threads(1)


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    """An empty folder, which is the current one."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def draw_scene(rng: np.random.Generator, height: int, width: int, buildings: int) -> tuple[np.ndarray, np.ndarray]:
    """A noisy dull ground with bright reddish rectangles, and their mask: uint8 (H, W, 3) RGB and (H, W)."""
    image = rng.normal((70, 90, 60), 12, (height, width, 3))
    mask = np.zeros((height, width), np.uint8)
    for _ in range(buildings):
        top, left = rng.integers(0, height - 8), rng.integers(0, width - 8)
        mask[top : top + rng.integers(6, 16), left : left + rng.integers(6, 20)] = 1
    image[mask == 1] += (120, 60, 40)
    return image.clip(0, 255).astype(np.uint8), mask


def reference_rle(mask: np.ndarray) -> str:
    """Column-major, 1-based, by looking at every pixel in turn: independent of maskfold.rle."""
    words, previous = [], 0
    for position, pixel in enumerate(mask.T.ravel(), start=1):
        if pixel and not previous:
            words += [position, 0]
        if pixel:
            words[-1] += 1
        previous = pixel
    return " ".join(map(str, words))


def write_tianchi(folder: Path, *, train: int = 18, test: int = 5, seed: int = 0) -> Path:
    """A competition in the tianchi-buildings layout: images of two sizes, every sixth without a building."""
    rng = np.random.default_rng(seed)
    tables: dict[str, list[str]] = {"train": [], "test_a": [], "truth": []}
    for part, count in (("train", train), ("test_a", test)):
        (folder / part).mkdir(parents=True)
        for number in range(count):
            name = f"{part[0].upper()}{number:03d}.jpg"
            image, mask = draw_scene(rng, *[(48, 40), (40, 56)][number % 2], buildings=(number + 5) % 6)
            cv2.imwrite(str(folder / part / name), image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 95])
            rle = reference_rle(mask)
            tables["truth" if part == "test_a" else "train"].append(f"{name}\t{rle}\n")
            if part == "test_a":
                tables["test_a"].append(f"{name}\t\n")
    (folder / "train_mask.csv").write_text("".join(tables["train"]))
    (folder / "test_a_samplesubmit.csv").write_text("".join(tables["test_a"]))
    (folder / "test_a_truth.csv").write_text("".join(tables["truth"]))
    return folder


@pytest.fixture(scope="session")
def drawn(tmp_path_factory) -> Path:
    """The tiny competition; not to be written to."""
    return write_tianchi(tmp_path_factory.mktemp("competition"))


@pytest.fixture
def tiny(drawn) -> Config:
    """A config that trains on the tiny competition within seconds."""
    return load_config(None, {**TINY, "competition.root": drawn}, name="tiny")
