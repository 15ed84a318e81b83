"""Pseudo-labels as a user makes them: a run, its labels, a run on these, and what is said of its score."""

import math
import re
import shutil

import pandas as pd
import pytest
from tests.drawn_runs import constant_run

from maskfold.config import load_config
from maskfold.ensembling.finished import OPTIMISTIC
from maskfold.scoring.submission_log import read_log


@pytest.fixture
def labelled(here):
    """runs/A, whose networks see the same everywhere."""
    config = load_config(here / "tiny.yaml", {"competition.root": "data/mine", "tta.views": "none", "train.epochs": 1})
    return constant_run(here / "runs", "A", config, {0: 3.0, 1: -3.0, 2: 2.5})


def test_a_folder_is_written_and_the_next_command_trains_on_it(labelled, script):
    done = script("pseudo_label", "--runs", "runs/A")
    assert done.code == 0, done.err
    assert "fold 1: 5 of 5 images kept, 100% of their pixels count" in done.out
    assert done.out.splitlines()[-1] == (
        "Next: python src/train_all.py --config runs/A/config.yaml --name A_pseudo --data.extra '[data/pseudo/A]'"
    )
    again = script("pseudo_label", "--runs", "runs/A")
    assert (again.code, again.out.count("Next")) == (1, 0)
    assert "data/pseudo/A exists: choose another --out, or give --overwrite" in again.err
    assert script("pseudo_label", "--runs", "runs/A", "--overwrite").code == 0


def test_confidence_at_the_temperature_of_the_other_folds(labelled, script, here):
    """The networks promise too much: each fold's probabilities are made less certain, by the others' images."""
    own = {"0": 3.0, "1": 3.0, "2": 2.5}
    done = script("pseudo_label", "--runs", "runs/A", "--calibrated", "--confidence", "0.5")
    assert done.code == 0, done.err
    said = dict(re.findall(r"fold (\d): 5 of 5 images kept, 100% of their pixels count at temperature (\S+)", done.out))
    assert said == dict.fromkeys(own, "4.00")
    means = pd.read_csv("data/pseudo/A/images.csv", dtype={"fold": str}).groupby("fold")["mean"].first()
    expected = {fold: 1 / (1 + math.exp(-logit / 4)) for fold, logit in own.items()}
    assert means.to_dict() == pytest.approx(expected, abs=1e-3)
    done = script("pseudo_label", "--runs", "runs/A", "--calibrated", "--all-folds", "--overwrite")
    assert (done.code, "leave out --calibrated or --all-folds" in done.err) == (1, True)


def test_what_cannot_be_is_refused_in_one_message(labelled, script):
    done = script("pseudo_label", "--runs", "runs/A", "--confidence", "1.2")
    assert (done.code, "'1.2' is not a number from 0 to 1" in done.err) == (2, True)
    done = script("pseudo_label", "--runs", "runs/A", "--images", "nowhere")
    assert (done.code, done.err) == (1, "error: there is no folder nowhere: give --images a folder of images\n")
    done = script("pseudo_label", "--runs", "runs/A", "--mean-confidence", "0.99")
    assert done.code == 1
    assert "error: none of 5 images is sure enough" in done.err


@pytest.mark.slow
def test_honest_and_optimistic_scores(labelled, script, here):
    train = ("train_all", "--config", "runs/A/config.yaml")
    assert script("pseudo_label", "--runs", "runs/A").code == 0
    assert script("pseudo_label", "--runs", "runs/A", "--all-folds", "--confidence", "0.6", "--out", "all").code == 0
    for name, folder, note in (("honest", "data/pseudo/A", ""), ("sure", "all", OPTIMISTIC)):
        run = f"runs/{name}"
        done = script(*train, "--name", name, "--data.extra", f"[{folder}]")
        assert done.code == 0, done.err
        ends = [line for line in done.out.splitlines() if " done: " in line]
        assert len(ends) == 3
        assert all(line.endswith(note) for line in ends)
        outputs = [done.out]
        for command in ("evaluate", "tune", "evaluate", "predict", "report"):
            done = script(command, "--runs", run)
            assert done.code == 0, done.err
            outputs.append(done.out)
        page = (here / run / "report.html").read_text()
        shown = [OPTIMISTIC in text for text in (*outputs[:-1], page)]
        assert shown == [bool(note)] * len(shown)
        score = read_log(here / "submissions/log.csv")["oof_score"].iloc[-1]
        assert (OPTIMISTIC in score) is bool(note)
        assert set(pd.read_csv(here / run / "folds.csv")["id"]) == {f"T{n:03d}.jpg" for n in range(18)}
    shutil.rmtree("all")
    done = script("evaluate", "--runs", "runs/sure")
    assert OPTIMISTIC in done.out, "the mark is the run's, whatever became of the labels"
