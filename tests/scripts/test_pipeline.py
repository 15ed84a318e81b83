"""The way from a competition's files to a validated and scored submission, through the scripts."""

import re

import numpy as np
import pandas as pd
import pytest
import yaml
from tests.drawn_runs import dice, read_table

from maskfold.rle import rle_decode
from maskfold.runs import MapStore, Run
from maskfold.storage import LocalStorage

CONFIG = ("--config", "tiny.yaml")


@pytest.fixture
def trained(here, script):
    """Three folds trained for long enough to be better than chance."""
    done = script("train_all", *CONFIG, "--train.epochs", "8")
    assert done.code == 0, done.err
    return here


@pytest.mark.slow
def test_from_files_to_a_scored_submission(trained, script, drawn):
    tuned = script("tune", "--runs", "runs/tiny")
    assert tuned.code == 0, tuned.err
    assert tuned.out.strip().splitlines()[-1] == "Next: python src/predict.py --runs runs/tiny"
    choice = yaml.safe_load((trained / "runs/tiny/ensemble.yaml").read_text())
    assert min(choice["scores"].values()) > 0.5
    kept = "Tuning did not help: the config's own settings"
    assert (kept in tuned.out) == (choice["scores"]["after"] <= choice["scores"]["before"])

    predicted = script("predict", "--runs", "runs/tiny", "--save-probabilities")
    assert predicted.code == 0, predicted.err
    assert "Folds: 0, 1, 2\n" in predicted.out
    after = "Next: python src/evaluate.py --runs runs/tiny --submission submissions/tiny.csv --truth TRUTH (or"
    assert predicted.out.splitlines()[-1].startswith(after)
    path = trained / "submissions/tiny.csv"
    assert f"Valid submission: {path.relative_to(trained)}" in predicted.out
    submission = read_table(path)
    assert list(submission) == list(read_table(drawn / "test_a_samplesubmit.csv"))

    # The masks are the stored probabilities at the tuned threshold (8 bits: away from the border).
    maps = MapStore(LocalStorage(trained / "submissions/tiny_probabilities"), "")
    truth, scores = read_table(drawn / "test_a_truth.csv"), []
    for name, rle in submission.items():
        probability = maps.read(name)[0] / 255
        mask = rle_decode(rle, probability.shape)
        if choice["post"]["min_area"] == 0:
            sure = np.abs(probability - choice["post"]["threshold"]) > 1 / 255
            assert np.array_equal(mask[sure], (probability >= choice["post"]["threshold"])[sure])
        scores.append(dice(mask, rle_decode(truth[name], mask.shape)))
    scored = script("evaluate", "--runs", "runs/tiny", "--submission", path, "--truth", "data/mine/test_a_truth.csv")
    assert scored.code == 0, scored.err
    found = float(re.search(r"tiny\.csv: dice (0\.\d+)", scored.out)[1])
    assert found == pytest.approx(np.mean(scores), abs=1e-4)
    assert found > 0.6

    noted = script("evaluate", "--runs", "runs/tiny", "--note-lb", "0.87")
    assert noted.code == 0, noted.err
    assert "Note:" not in noted.out
    path.write_text("".join(path.read_text().splitlines(keepends=True)[1:]))
    again = script("evaluate", "--note-lb", "0.87")
    assert "Note: submissions/tiny.csv was changed after it was written" in again.out
    log = pd.read_csv(trained / "submissions/log.csv", dtype=str)
    assert log["leaderboard"].tolist() == ["0.87"]
    assert float(log["oof_score"][0]) == pytest.approx(max(choice["scores"].values()), abs=1e-6)


@pytest.mark.slow
def test_runs_and_competition_that_were_moved(here, script):
    """As in a notebook whose inputs lie in folders of their own."""
    assert script("train_fold", *CONFIG, "--fold", "0").code == 0
    assert script("tune", "--runs", "runs/tiny").code == 0
    assert script("predict", "--runs", "runs/tiny", "--out", "before.csv").code == 0
    for name in ("runs", "data"):
        (here / name).rename(here / f"input_{name}")
    refused = script("predict", "--runs", "input_runs/tiny")
    assert refused.code == 1
    assert "data/mine: there is no such folder; give its folder with --competition.root" in refused.err
    place = ("--runs", "input_runs/tiny", "--competition.root", "input_data/mine")
    predicted = script("predict", *place, "--out", "after.csv")
    assert predicted.code == 0, predicted.err
    assert "Ensemble: input_runs/tiny/ensemble.yaml" in predicted.out
    assert (here / "after.csv").read_text() == (here / "before.csv").read_text()
    assert script("evaluate", *place).code == 0
    assert script("report", *place, "--out", "page.html").out.splitlines()[-1] == (
        "Next: python src/predict.py --runs input_runs/tiny --competition.root input_data/mine"
    )
    assert not (here / "runs").exists()


@pytest.mark.slow
def test_folds_missing_untuned_and_added_later(here, script):
    refused = script("predict", "--runs", "runs/tiny")
    assert refused.code == 1
    assert "train first, python src/train_fold.py" in refused.err
    for fold in (1, 2):
        assert script("train_fold", *CONFIG, "--fold", fold).code == 0
    plain = script("predict", "--runs", "runs/tiny")
    assert plain.code == 0, plain.err
    assert "Not tuned: equal mean of checkpoint 'best', threshold 0.5, views flips" in plain.out
    assert "Folds: 1, 2; without 0" in plain.out
    assert script("tune", "--runs", "runs/tiny").code == 0
    assert script("train_fold", *CONFIG, "--fold", 0).code == 0
    added = script("predict", "--runs", "runs/tiny")
    assert added.code == 0, added.err
    assert "trained since tuning and used as well: runs/tiny/fold_0/" in added.out
    assert "Folds: 0, 1, 2\n" in added.out
    assert sorted(path.name for path in (here / "submissions").glob("*.csv")) == [
        "log.csv",
        "tiny-2.csv",
        "tiny.csv",
    ]

    assert script("train_fold", *CONFIG, "--fold", 1, "--overwrite", "--seed", "0").code == 0
    again = script("train_fold", *CONFIG, "--fold", 1)
    assert again.code == 0
    assert "is trained (dice" in again.out
    run = Run(here / "runs/tiny")
    (run.fold(1).checkpoint_path("best")).write_bytes(b"broken")
    damaged = script("predict", "--runs", "runs/tiny", "--untuned")
    assert damaged.code == 1
    assert "best.safetensors is damaged" in damaged.err


@pytest.mark.slow
def test_two_runs_are_tuned_and_predicted_together(here, script):
    for name in ("a", "b"):
        done = script("train_all", *CONFIG, "--name", name, "--seed", {"a": 1, "b": 2}[name])
        assert done.code == 0, done.err
    untuned = script("predict", "--runs", "runs/a", "runs/b")
    assert untuned.code == 1
    assert "tune.py --runs runs/a runs/b first" in untuned.err
    assert script("tune", "--runs", "runs/a", "runs/b").code == 0
    choice = yaml.safe_load((here / "runs/a+b/ensemble.yaml").read_text())
    assert sum(run["weight"] for run in choice["runs"]) == pytest.approx(1)
    done = script("predict", "--runs", "runs/a", "runs/b")
    assert done.code == 0, done.err
    assert (here / "submissions/a+b.csv").exists()


def test_views_changed_after_tuning_are_told(here, script):
    assert script("train_fold", *CONFIG, "--fold", 0).code == 0
    assert script("tune", "--runs", "runs/tiny").code == 0
    done = script("predict", "--runs", "runs/tiny", "--tta.views", "none", "--post.threshold", "0.3")
    assert done.code == 0, done.err
    assert "Note: tta.views is none, not flips as tuned." in done.out
    oof = script("predict", "--runs", "runs/tiny", "--tta.views", "d4", "--oof")
    assert oof.code == 0, oof.err
    assert Run(here / "runs/tiny").fold(0).oof("best").made_with()["views"] == "d4"
    shown = script("evaluate", "--runs", "runs/tiny")
    assert shown.code == 0, shown.err
    assert "before tuning" in shown.out
