"""Tiny twins of competitions: a few images of odd sizes, masks known as arrays, files as they are downloaded."""

import itertools
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import pytest

from maskfold.competitions import Competition, open_competition
from maskfold.config import CompetitionConfig


def slow_rle(mask, *, order="F", start=1):
    """Runs by itertools, independent of maskfold.rle."""
    position, tokens = start, []
    for value, run in itertools.groupby(mask.ravel(order=order).tolist()):
        length = len(list(run))
        if value:
            tokens += [position, length]
        position += length
    return " ".join(map(str, tokens))


def blobs(seed, size):
    """A 0/1 mask of two rectangles, one of them touching the border."""
    rng = np.random.default_rng(seed)
    height, width = size
    mask = np.zeros(size, np.uint8)
    top, left = rng.integers(1, height // 2), rng.integers(1, width // 2)
    mask[top : top + height // 4, left : left + width // 3] = 1
    mask[-3:, -2:] = 1
    return mask


def write_image(path, seed, size, channels=3):
    path.parent.mkdir(parents=True, exist_ok=True)
    shape = (*size, 3) if channels == 3 else size
    image = np.random.default_rng(seed).integers(0, 256, shape, np.uint8)
    assert cv2.imwrite(str(path), image)
    return image


@dataclass
class Twin:
    """A competition's folder and what is known about it."""

    root: Path
    profile: str
    truth: dict = field(default_factory=dict)
    test: dict = field(default_factory=dict)
    class_names: tuple | None = None

    def config(self):
        return CompetitionConfig(profile=self.profile, root=self.root, class_names=self.class_names)

    def open(self) -> Competition:
        return open_competition(self.config())


@pytest.fixture
def tianchi(tmp_path):
    twin = Twin(tmp_path / "tianchi", "tianchi-buildings")
    sizes = {"b.jpg": (20, 31), "a.jpg": (17, 23), "c.jpg": (24, 16)}
    lines = []
    for seed, (name, size) in enumerate(sizes.items()):
        write_image(twin.root / "train" / name, seed, size)
        twin.truth[name] = blobs(seed, size) * (name != "c.jpg")
        lines.append(f"{name}\t{slow_rle(twin.truth[name])}")
    (twin.root / "train_mask.csv").write_text("\n".join(lines) + "\n")
    twin.test = {"z.jpg": (19, 21), "x.jpg": (22, 18), "y.jpg": (16, 30)}
    for seed, (name, size) in enumerate(twin.test.items(), start=10):
        write_image(twin.root / "test_a" / name, seed, size)
    (twin.root / "test_a_samplesubmit.csv").write_text("".join(f"{name}\t\n" for name in twin.test))
    return twin


@pytest.fixture
def tgs(tmp_path):
    twin = Twin(tmp_path / "tgs", "tgs-salt")
    rows = ["id,rle_mask"]
    for seed, name in enumerate(["b1", "a0", "c2"]):
        write_image(twin.root / f"train/images/{name}.png", seed, (21, 21), channels=1)
        twin.truth[name] = blobs(seed, (21, 21)) * (name != "a0")
        rows.append(f"{name},{slow_rle(twin.truth[name])}")
    (twin.root / "train.csv").write_text("\n".join(rows) + "\n")
    (twin.root / "depths.csv").write_text("id,z\nb1,300\na0,12\nc2,40\nt2,1\nt1,2\n")
    twin.test = {"t2": (21, 21), "t1": (21, 21)}
    for seed, name in enumerate(twin.test, start=10):
        write_image(twin.root / f"test/images/{name}.png", seed, (21, 21), channels=1)
    (twin.root / "sample_submission.csv").write_text("id,rle_mask\nt2,1 1\nt1,1 1\n")
    return twin


@pytest.fixture
def png_masks(tmp_path):
    twin = Twin(tmp_path / "pairs", "png-masks")
    (twin.root / "masks").mkdir(parents=True)
    for seed, (name, size) in enumerate({"q": (18, 27), "p": (25, 19)}.items()):
        write_image(twin.root / f"images/{name}.jpg", seed, size)
        twin.truth[name] = blobs(seed, size)
        # One mask of 0/255, one of 0/1.
        cv2.imwrite(str(twin.root / f"masks/{name}.png"), twin.truth[name] * (255 if name == "q" else 1))
    twin.test = {"n": (17, 20), "m": (20, 17)}
    for seed, (name, size) in enumerate(twin.test.items(), start=10):
        write_image(twin.root / f"images/{name}.jpg", seed, size)
    return twin


@pytest.fixture
def file_list(tmp_path):
    twin = Twin(tmp_path / "street", "file-list", class_names=("sky", "road", "car"))
    lists = {"train.txt": ["b", "a"], "val.txt": ["c"], "test.txt": ["t1", "t0"]}
    (twin.root / "labels").mkdir(parents=True)
    for name, stems in lists.items():
        lines = []
        for stem in stems:
            seed, size = sum(stem.encode()), (18, 25)
            write_image(twin.root / f"images/{stem}.jpg", seed, size)
            lines.append(f"images/{stem}.jpg")
            if name == "test.txt":
                twin.test[f"images/{stem}.jpg"] = size
                continue
            label = np.random.default_rng(seed).integers(0, 3, size, np.uint8)
            label[2:4, 5:9] = 255
            cv2.imwrite(str(twin.root / f"labels/{stem}.png"), label)
            twin.truth[f"images/{stem}.jpg"] = label
            lines[-1] += f" labels/{stem}.png"
        (twin.root / name).write_text("\n".join(lines) + "\n\n")
    return twin


CLOUDS = """\
layout: csv
metric: miou
train: {table: train.csv, image: "train_images/{id}"}
test: {table: sample_submission.csv, image: "test_images/{id}"}
columns: {id: Image_Label, mask: EncodedPixels}
rows: class
class_separator: _
class_names: [background, Fish, Sugar]
"""


@pytest.fixture
def clouds(tmp_path):
    """One row per (image, class), both in the id column."""
    twin = Twin(tmp_path / "clouds", str(tmp_path / "clouds.yaml"))
    (tmp_path / "clouds.yaml").write_text(CLOUDS)
    rows, sample = ["Image_Label,EncodedPixels"], ["Image_Label,EncodedPixels"]
    for seed, (name, size) in enumerate({"b_1.jpg": (20, 24), "a_0.jpg": (18, 26)}.items()):
        write_image(twin.root / f"train_images/{name}", seed, size)
        fish = blobs(seed, size)
        sugar = np.zeros(size, np.uint8)
        sugar[0, 3:11] = 1
        twin.truth[name] = fish + 2 * sugar
        rows += [f"{name}_Sugar,{slow_rle(sugar)}", f"{name}_Fish,{slow_rle(fish)}"]
    (twin.root / "train.csv").write_text("\n".join(rows) + "\n")
    twin.test = {"t_9.jpg": (19, 22), "s_8.jpg": (23, 17)}
    for seed, (name, size) in enumerate(twin.test.items(), start=10):
        write_image(twin.root / f"test_images/{name}", seed, size)
        sample += [f"{name}_Fish,1 1", f"{name}_Sugar,1 1"]
    (twin.root / "sample_submission.csv").write_text("\n".join(sample) + "\n")
    return twin


AIRBUS = """\
layout: csv
metric: dice
train: {table: train_ship_segmentations.csv, image: "train/{id}"}
test: {table: sample_submission.csv, image: "test/{id}"}
columns: {id: ImageId, mask: EncodedPixels}
rows: instance
class_names: [ship]
"""


@pytest.fixture
def airbus(tmp_path):
    """One row per instance; two of them overlap."""
    twin = Twin(tmp_path / "airbus", str(tmp_path / "airbus.yaml"))
    (tmp_path / "airbus.yaml").write_text(AIRBUS)
    size = (20, 26)
    one, two = np.zeros(size, np.uint8), np.zeros(size, np.uint8)
    one[3:9, 2:12], two[7:12, 10:15] = 1, 1
    twin.truth = {"b.jpg": one | two, "a.jpg": np.zeros(size, np.uint8)}
    rows = [f"b.jpg,{slow_rle(one)}", "a.jpg,", f"b.jpg,{slow_rle(two)}"]
    (twin.root / "test").mkdir(parents=True)
    (twin.root / "train_ship_segmentations.csv").write_text("\n".join(["ImageId,EncodedPixels", *rows]) + "\n")
    for seed, name in enumerate(twin.truth):
        write_image(twin.root / f"train/{name}", seed, size)
    twin.test = {"t1.jpg": size, "t0.jpg": (18, 18)}
    for seed, (name, shape) in enumerate(twin.test.items(), start=10):
        write_image(twin.root / f"test/{name}", seed, shape)
    (twin.root / "sample_submission.csv").write_text("ImageId,EncodedPixels\nt1.jpg,1 2\nt0.jpg,1 2\n")
    return twin
