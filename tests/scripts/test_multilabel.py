"""Classes that overlap, submitted at another size than the images', go the whole way through the scripts."""

import re

import numpy as np
import pandas as pd
import pytest
import yaml
from tests.clouds import NAMES, write_clouds
from tests.drawn_runs import decode, dice
from tests.scripts.conftest import write_config

SIZE = (26, 33)


def test_overlapping_classes_of_another_size_from_files_to_a_score(tmp_path, monkeypatch, script):
    monkeypatch.chdir(tmp_path)
    truth = write_clouds(tmp_path / "clouds", size=SIZE)
    # At 0.97 next to nothing is found, so tuning helps whatever the few steps of training have learnt.
    write_config(
        tmp_path / "c.yaml", competition__profile="clouds/profile.yaml", competition__root="clouds", folds__count=2,
        train__epochs=6, post__threshold=0.97, tune__tried={"threshold": [0.3, 0.5, 0.7], "fill_holes": [0]},
    )  # fmt: skip
    config = ("--config", "c.yaml")
    for name, *words in (("check_data",), ("make_folds",), ("train_fold", "--fold", "0")):
        done = script(name, *config, *words)
        assert done.code == 0, done.err
    tuned = script("tune", "--runs", "runs/c")
    assert tuned.code == 0, tuned.err
    assert all(f"threshold of {name} 0." in tuned.out for name in NAMES)
    post = yaml.safe_load((tmp_path / "runs/c/ensemble.yaml").read_text())["post"]
    assert len(post["threshold"]) == 4
    assert min(post["threshold"]) <= 0.7
    predicted = script("predict", "--runs", "runs/c")
    assert predicted.code == 0, predicted.err
    # What the command line sets is where tuning starts, and what is kept where nothing is better.
    fixed = ("--post.threshold", "0.4", "--post.min_area", "3", "--tune.tried.threshold", "[0.4]")
    again = script("tune", "--runs", "runs/c", *fixed, "--tune.tried.min_area", "[3]")
    assert again.code == 0, again.err
    kept = yaml.safe_load((tmp_path / "runs/c/ensemble.yaml").read_text())
    assert (kept["post"]["threshold"], kept["post"]["min_area"]) == (0.4, 3)
    assert kept["scores"]["before"] == kept["scores"]["after"]
    assert "Valid submission" in predicted.out
    scored = script("evaluate", "--runs", "runs/c", "--submission", "submissions/c.csv", "--truth", "clouds/truth.csv")
    assert scored.code == 0, scored.err
    scores = []
    for row in pd.read_csv("submissions/c.csv", dtype=str, keep_default_na=False).itertuples():
        image_id, name = row.Image_Label.rsplit("_", 1)
        assert truth[image_id].shape == (4, *SIZE)
        found = decode(row.EncodedPixels, SIZE)
        scores.append(dice(found, truth[image_id][NAMES.index(name)]))
    assert len(scores) == 3 * 4
    assert float(re.search(r"c\.csv: dice (\d\.\d+)", scored.out)[1]) == pytest.approx(np.mean(scores), abs=1e-4)
