"""A drawn twin of "understanding clouds": one row per image and class, and four classes that overlap."""

from pathlib import Path

import cv2
import numpy as np
from tests.conftest import TINY, reference_rle

from maskfold.config import Config, load_config

NAMES = ("Fish", "Flower", "Gravel", "Sugar")
PROFILE = """\
layout: csv
metric: dice
train: {table: train.csv, image: "train_images/{id}"}
test: {table: sample_submission.csv, image: "test_images/{id}"}
columns: {id: Image_Label, mask: EncodedPixels}
rows: class
class_separator: _
task: multilabel
class_names: [Fish, Flower, Gravel, Sugar]
"""
# What a class adds to the image's colours, so that a network can tell even those that overlap.
TINTS = np.array([(90, 0, 0), (0, 90, 0), (0, 0, 90), (50, 50, 50)])


def draw_clouds(rng: np.random.Generator, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """RGB (H, W, 3) and layers (4, H, W): a rectangle of each class, of Gravel in every other image only."""
    height, width = size
    layers = np.zeros((4, height, width), np.uint8)
    for layer, share in zip(layers, (1, 1, 0.5, 1), strict=True):
        if rng.random() < share:
            top, left = rng.integers(0, height // 2), rng.integers(0, width // 2)
            layer[top : top + height // 3, left : left + width // 2] = 1
    image = rng.normal(60, 9, (height, width, 3)) + np.tensordot(layers, TINTS, (0, 0))
    return image.clip(0, 255).astype(np.uint8), layers


def write_clouds(
    folder: Path, *, train: int = 8, test: int = 3, size: tuple[int, int] | None = None
) -> dict[str, np.ndarray]:
    """Write images, tables and ``profile.yaml``; returns id -> layers of all images.

    With ``size`` (H, W) the competition asks for masks of that size, and the test images' truth has it.
    """
    rng, masks = np.random.default_rng(5), {}
    tables = {name: ["Image_Label,EncodedPixels"] for name in ("train", "sample_submission", "truth")}
    for split, count in (("train", train), ("test", test)):
        (folder / f"{split}_images").mkdir(parents=True)
        for number in range(count):
            name = f"{split}_{number}.png"
            image, masks[name] = draw_clouds(rng, [(40, 48), (44, 36)][number % 2])
            cv2.imwrite(str(folder / f"{split}_images" / name), image[..., ::-1])
            if split == "test" and size is not None:
                masks[name] = np.stack(
                    [cv2.resize(layer, size[::-1], interpolation=cv2.INTER_NEAREST) for layer in masks[name]]
                )
            # Another order than the profile's; what a class lacks has no row in the training table.
            for index in (1, 0, 3, 2):
                rle = reference_rle(masks[name][index])
                row = f"{name}_{NAMES[index]},{rle}"
                if split == "test":
                    tables["sample_submission"].append(f"{name}_{NAMES[index]},1 1")
                    tables["truth"].append(row)
                elif masks[name][index].any():
                    tables["train"].append(row)
    for name, rows in tables.items():
        (folder / f"{name}.csv").write_text("\n".join(rows) + "\n")
    asked = "" if size is None else f"submission: {{size: {list(size)}}}\n"
    (folder / "profile.yaml").write_text(PROFILE + asked)
    return masks


def clouds_config(folder: Path, **changes: object) -> Config:
    """A config that trains on the twin within seconds."""
    keys = {
        "competition.profile": str(folder / "profile.yaml"),
        "competition.root": folder,
        "folds.count": 2,
        "tta.views": "none",
    }
    return load_config(None, {**TINY, **keys, **changes}, name="clouds")
