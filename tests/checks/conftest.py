"""Small competitions with masks known as arrays, written by an encoder that looks at every pixel."""

import cv2
import numpy as np
import pytest
import yaml

from maskfold.competitions import open_competition
from maskfold.config import CompetitionConfig


def encode(mask, *, order="F", start=1, layout="start-length"):
    """Run lengths in any way of writing, independent of maskfold.rle."""
    flat = [0, *mask.ravel(order=order).tolist(), 0]
    begins = [i for i in range(len(flat) - 1) if flat[i] < flat[i + 1]]
    ends = [i for i in range(len(flat) - 1) if flat[i] > flat[i + 1]]
    if layout == "start-length":
        pairs = [(begin + start, end - begin) for begin, end in zip(begins, ends, strict=True)]
    elif layout == "start-end":
        pairs = [(begin + start, end - 1 + start) for begin, end in zip(begins, ends, strict=True)]
    else:
        pairs = [(b - p, e - b) for b, e, p in zip(begins, ends, [0, *ends[:-1]], strict=True)]
    return " ".join(f"{one} {two}" for one, two in pairs)


def texture(seed, size=(48, 64)):
    """A photograph of sorts: blurred noise, uint8 RGB, with large and small shapes."""
    rng = np.random.default_rng(seed)
    coarse = cv2.resize(rng.normal(0, 1, (6, 8, 3)), size[::-1], interpolation=cv2.INTER_CUBIC)
    fine = cv2.resize(rng.normal(0, 1, (24, 32, 3)), size[::-1], interpolation=cv2.INTER_CUBIC)
    return (120 + 35 * coarse + 25 * fine).clip(0, 255).astype(np.uint8)


def write_label_maps(folder, labels, size=(48, 64)):
    """A competition of listed label maps uint8 of three classes, each beside a texture; ids are images/00.png ..."""
    lines = []
    for number, label in enumerate(labels):
        for part, array in (("images", texture(number, size)), ("labels", label)):
            (folder / part).mkdir(exist_ok=True)
            cv2.imwrite(str(folder / part / f"{number:02d}.png"), array)
        lines.append(f"images/{number:02d}.png labels/{number:02d}.png\n")
    (folder / "train.txt").write_text("".join(lines))
    return open_competition(CompetitionConfig(profile="file-list", root=folder, class_names=("sky", "road", "car")))


def write_competition(folder, train, masks, test=(), **profile):
    """A CSV competition of pngs. train: id -> RGB; masks: id -> a row's text or texts; test: id -> RGB."""
    tree = {
        "layout": "csv",
        "metric": "dice",
        "train": {"table": "train.csv", "image": "train/{id}.png"},
        "test": {"table": "sample.csv", "image": "test/{id}.png"},
        "columns": {"id": "id", "mask": "rle"},
        **profile,
    }
    for part, images in (("train", train), ("test", dict(test))):
        (folder / part).mkdir(parents=True)
        for name, image in images.items():
            assert cv2.imwrite(str(folder / part / f"{name}.png"), image[..., ::-1])
    rows = [(name, text) for name, texts in masks.items() for text in ((texts,) if isinstance(texts, str) else texts)]
    (folder / "train.csv").write_text("\n".join(["id,rle", *(f"{name},{text}" for name, text in rows)]) + "\n")
    (folder / "sample.csv").write_text("\n".join(["id,rle", *(f"{name}," for name in dict(test))]) + "\n")
    (folder / "profile.yaml").write_text(yaml.safe_dump(tree))
    return open_competition(CompetitionConfig(profile=str(folder / "profile.yaml"), root=folder))


@pytest.fixture
def make(tmp_path):
    """``competition(train, masks, test, **profile)`` -> Competition."""
    return lambda *arguments, **profile: write_competition(tmp_path / "competition", *arguments, **profile)
