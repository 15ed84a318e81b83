"""A drawn twin of contrails, whose images are a folder of bands each: from the check of the data to a score."""

import json
import re

import numpy as np
import pandas as pd
import pytest
import yaml
from tests.competitions.conftest import slow_rle
from tests.scripts.conftest import write_config
from tests.scripts.test_other_images import dice

BANDS = ["band_08.npy", "band_11.npy", "band_15.npy"]
PROFILE = {
    "layout": "csv",
    "metric": "dice",
    **{
        split: {"table": table, "image": [f"{split}/{{id}}/{band}" for band in BANDS]}
        for split, table in (("train", "train.csv"), ("test", "sample_submission.csv"))
    },
    "columns": {"id": "record_id", "mask": "encoded_pixels"},
    "dialect": {"empty": "-"},
    "image_spec": {"channels": 4, "dtype": "float32", "scale": 320, "rgb": [3, 2, 0]},
}


@pytest.fixture
def sky(tmp_path, monkeypatch):
    """Clouds that the last band alone shows; the truth of the test split by id."""
    monkeypatch.chdir(tmp_path)
    rng, truth = np.random.default_rng(9), {}
    rows = {"train": ["record_id,encoded_pixels"], "test": ["record_id,encoded_pixels"]}
    for split, count in (("train", 12), ("test", 3)):
        for number in range(count):
            name = f"{1000 + number if split == 'train' else 9000 + number}"
            mask = np.zeros((40, 36), np.uint8)
            mask[3 : 9 + number, 5:20] = number != 1
            bands = rng.normal(270, 9, (40, 36, 4)).astype(np.float32)
            bands[..., 3] -= 60 * mask
            folder = tmp_path / "sky" / split / name
            folder.mkdir(parents=True)
            # The first file holds two channels, the others one: three files, four channels.
            for band, values in zip(BANDS, (bands[..., :2], bands[..., 2], bands[..., 3]), strict=True):
                np.save(folder / band, values)
            np.save(folder / "band_16.npy", bands[..., 0])
            rows[split].append(f"{name},{slow_rle(mask) or '-'}")
            if split == "test":
                truth[name] = mask
    (tmp_path / "sky/train.csv").write_text("\n".join(rows["train"]) + "\n")
    (tmp_path / "sky/truth.csv").write_text("\n".join(rows["test"]) + "\n")
    (tmp_path / "sky/sample_submission.csv").write_text(
        "record_id,encoded_pixels\n" + "".join(f"{name},-\n" for name in truth)
    )
    (tmp_path / "sky.yaml").write_text(yaml.safe_dump(PROFILE))
    write_config(
        tmp_path / "c.yaml", competition__profile="sky.yaml", competition__root="sky", train__epochs=None,
        train__iterations=3, train__batch_size=4, data__crop=24, data__workers=1,
    )  # fmt: skip
    return truth


@pytest.mark.slow
def test_folders_of_bands_from_files_to_a_score(tmp_path, sky, script):
    config = ("--config", "c.yaml")
    checked = script("check_data", *config, "--html")
    assert checked.code == 0, checked.out
    assert re.search(r"channels +4 x float32 \(15\)", checked.out)
    assert "Warnings: 0" in checked.out, "further bands are no images that a table forgot"
    for name, *words in (("make_folds",), ("train_fold", "--fold", "0")):
        done = script(name, *config, *words)
        assert done.code == 0, done.err
    assert json.loads((tmp_path / "runs/c/fold_0/summary.json").read_text())["steps"] == 3
    predicted = script("predict", "--runs", "runs/c", "--untuned")
    assert predicted.code == 0, predicted.err
    scored = script("evaluate", "--runs", "runs/c", "--submission", "submissions/c.csv", "--truth", "sky/truth.csv")
    assert scored.code == 0, scored.err
    scores = []
    for name, rle in pd.read_csv("submissions/c.csv", dtype=str).itertuples(index=False):
        flat = np.zeros(40 * 36, np.uint8)
        numbers = [] if rle == "-" else list(map(int, rle.split()))
        for start, length in zip(numbers[::2], numbers[1::2], strict=True):
            flat[start - 1 : start - 1 + length] = 1
        scores.append(dice(flat.reshape(36, 40).T, sky[name]))
    assert len(scores) == 3
    assert float(re.search(r"c\.csv: dice (\d\.\d+)", scored.out)[1]) == pytest.approx(np.mean(scores), abs=1e-4)
    shown = script("report", "--runs", "runs/c")
    assert shown.code == 0, shown.err


def test_what_is_missing_or_does_not_fit_is_named(tmp_path, sky, script):
    (tmp_path / "sky/train/1003/band_11.npy").unlink()
    np.save(tmp_path / "sky/train/1005/band_15.npy", np.zeros((40, 35), np.float32))
    checked = script("check_data", "--config", "c.yaml")
    assert checked.code == 1
    said = " ".join(checked.out.split())
    assert "train.csv names 1 images that are not in sky: train/1003/band_11.npy" in said
    assert "1 images cannot be read: train/1005/band_15.npy is 40x35 (height x width) of float32" in said
