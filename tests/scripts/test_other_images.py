"""Images that are not 8-bit RGB, and submissions of another size, go the whole way through the scripts."""

import json
import re

import cv2
import numpy as np
import pandas as pd
import pytest
import yaml
from tests.competitions.conftest import slow_rle
from tests.competitions.test_images import tif
from tests.scripts.conftest import write_config

SIZES = [(40, 48), (33, 56)]
PROFILE = {
    "layout": "csv",
    "metric": "dice",
    "train": {"table": "train.csv", "image": "train/{id}.tif"},
    "test": {"table": "sample.csv", "image": "test/{id}.tif"},
    "columns": {"id": "id", "mask": "rle"},
    "image_spec": {"channels": 4, "dtype": "uint16", "scale": 10000, "rgb": [2, 1, 0]},
}


def draw(folder, size=None):
    """Buildings that the fourth band alone shows; returns the truth of the test split, at ``size`` if given."""
    rng, truth = np.random.default_rng(2), {}
    rows = {"train": ["id,rle"], "test": ["id,rle"]}
    for split, count in (("train", 12), ("test", 4)):
        (folder / split).mkdir(parents=True)
        for number in range(count):
            height, width = SIZES[number % 2]
            mask = np.zeros((height, width), np.uint8)
            mask[4 : 14 + number, 9 : 20 + number] = 1
            bands = rng.integers(500, 3000, (height, width, 4)).astype(np.uint16)
            bands[..., 3] += mask * np.uint16(9000)
            (folder / split / f"{split}{number}.tif").write_bytes(tif(bands))
            if split == "test" and size is not None:
                mask = cv2.resize(mask, size[::-1], interpolation=cv2.INTER_NEAREST_EXACT)
            rows[split].append(f"{split}{number},{slow_rle(mask)}")
            truth[f"{split}{number}"] = mask
    (folder / "train.csv").write_text("\n".join(rows["train"]) + "\n")
    (folder / "truth.csv").write_text("\n".join(rows["test"]) + "\n")
    (folder / "sample.csv").write_text("\n".join(["id,rle", *(f"test{number}," for number in range(4))]) + "\n")
    profile = PROFILE if size is None else {**PROFILE, "submission": {"size": list(size)}}
    folder.with_suffix(".yaml").write_text(yaml.safe_dump(profile))
    return {name: mask for name, mask in truth.items() if name.startswith("test")}


def dice(a, b):
    return 2 * (a & b).sum() / (a.sum() + b.sum()) if a.any() or b.any() else 1.0


@pytest.mark.parametrize("size", [None, (21, 30)], ids=["own size", "another size"])
def test_four_bands_of_sixteen_bits_from_files_to_a_score(tmp_path, monkeypatch, script, size):
    monkeypatch.chdir(tmp_path)
    truth = draw(tmp_path / "bands", size)
    write_config(
        tmp_path / "c.yaml", competition__profile="bands.yaml", competition__root="bands", train__epochs=None,
        train__iterations=2, train__batch_size=3, data__augment="heavy", data__scale=0.5, data__crop=24,
        tta__views="flips", tta__scales=[1.0, 1.5],
    )  # fmt: skip
    config = ("--config", "c.yaml")
    checked = script("check_data", *config, "--html")
    assert checked.code == 0, checked.out
    assert re.search(r"channels +4 x uint16 \(16\)", checked.out)
    assert re.search(r"blue \d+ ± \d+, green \d+ ± \d+, red \d+ ± \d+, channel 4 \d+ ± \d+ of 10000", checked.out)
    assert "Levels 0 to 10000" in (tmp_path / "runs/c/data.html").read_text()
    for name, *words in (("make_folds",), ("train_fold", "--fold", "0")):
        done = script(name, *config, *words)
        assert done.code == 0, done.err
    assert json.loads((tmp_path / "runs/c/fold_0/summary.json").read_text())["steps"] == 2
    predicted = script("predict", "--runs", "runs/c", "--untuned")
    assert predicted.code == 0, predicted.err
    assert "Valid submission" in predicted.out
    scored = script("evaluate", "--runs", "runs/c", "--submission", "submissions/c.csv", "--truth", "bands/truth.csv")
    assert scored.code == 0, scored.err
    masks = {}
    table = pd.read_csv("submissions/c.csv", dtype=str, keep_default_na=False)
    for name, rle in table.itertuples(index=False):
        height, width = truth[name].shape
        flat = np.zeros(height * width, np.uint8)
        numbers = list(map(int, rle.split()))
        for start, length in zip(numbers[::2], numbers[1::2], strict=True):
            flat[start - 1 : start - 1 + length] = 1
        masks[name] = flat.reshape(width, height).T
    expected = np.mean([dice(masks[name], truth[name]) for name in truth])
    assert float(re.search(r"c\.csv: dice (\d\.\d+)", scored.out)[1]) == pytest.approx(expected, abs=1e-4)


def test_images_that_the_profile_does_not_know_are_named(tmp_path, monkeypatch, script):
    monkeypatch.chdir(tmp_path)
    draw(tmp_path / "bands")
    profile = {key: value for key, value in PROFILE.items() if key != "image_spec"}
    (tmp_path / "bands.yaml").write_text(yaml.safe_dump(profile))
    write_config(tmp_path / "c.yaml", competition__profile="bands.yaml", competition__root="bands")
    checked = script("check_data", "--config", "c.yaml")
    assert checked.code == 1
    said = " ".join(checked.out.split())
    assert "16 images cannot be read: test/test0.tif has 4 channels of uint16, the profile expects 3 of uint8" in said
    assert "write image_spec: {channels: 4, dtype: uint16, scale: 65535} into the profile" in said
