"""A drawn twin of nuclei that touch: one row per nucleus, no overlap, scored by mAP over objects."""

from pathlib import Path

import cv2
import numpy as np
from tests.conftest import TINY, reference_rle

from maskfold.config import Config, load_config

PROFILE = """\
layout: csv
metric: dsb_map
train: {table: train.csv, image: "train/{id}.png"}
test: {table: sample_submission.csv, image: "test/{id}.png"}
columns: {id: ImageId, mask: EncodedPixels}
rows: instance
class_names: [nucleus]
submission: {overlap: false}
"""


def draw_nuclei(rng: np.random.Generator, size: tuple[int, int], pairs: int) -> np.ndarray:
    """int32 (H, W): pairs of discs that touch, numbered from 1."""
    rows, columns = np.mgrid[: size[0], : size[1]]
    found = np.zeros(size, np.int32)
    for pair in range(pairs):
        top, left = 10 + 19 * (pair // 2), 10 + 33 * (pair % 2)
        radius = rng.integers(5, 8, 2)
        for place, column in ((0, left), (1, left + int(radius.sum()))):
            disc = (rows - top) ** 2 + (columns - column) ** 2 <= radius[place] ** 2
            found[disc & (found == 0)] = 2 * pair + place + 1
    return found


def write_nuclei(folder: Path, *, train: int = 8, test: int = 3) -> dict[str, np.ndarray]:
    """Write images, tables and ``profile.yaml``; returns id -> instances of all images."""
    rng, instances = np.random.default_rng(2), {}
    tables = {name: ["ImageId,EncodedPixels"] for name in ("train", "sample_submission", "truth")}
    for split, count in (("train", train), ("test", test)):
        (folder / split).mkdir(parents=True)
        for number in range(count):
            name = f"{split}_{number}"
            found = draw_nuclei(rng, [(40, 70), (60, 66)][number % 2], pairs=number % 4 + (split == "train"))
            image = rng.normal(50, 8, (*found.shape, 3)) + 110 * (found > 0)[..., None]
            cv2.imwrite(str(folder / split / f"{name}.png"), image.clip(0, 255).astype(np.uint8))
            instances[name] = found
            rles = [reference_rle(found == k) for k in np.unique(found[found > 0])] or [""]
            tables["truth" if split == "test" else "train"] += [f"{name},{rle}" for rle in rles]
            if split == "test":
                tables["sample_submission"].append(f"{name},")
    for name, rows in tables.items():
        (folder / f"{name}.csv").write_text("\n".join(rows) + "\n")
    (folder / "profile.yaml").write_text(PROFILE)
    return instances


def nuclei_config(folder: Path, **changes: object) -> Config:
    """A config that trains on the twin within seconds."""
    keys = {
        "competition.profile": str(folder / "profile.yaml"),
        "competition.root": folder,
        "folds.count": 2,
        "tta.views": "none",
    }
    return load_config(None, {**TINY, **keys, **changes}, name="nuclei")
