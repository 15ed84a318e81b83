from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from maskfold.competitions import load_profile
from maskfold.labels import Label, LabelSpec
from maskfold.metrics import CalibrationMetrics, build_metric
from maskfold.report.gallery import pick_images
from maskfold.report.gather import Findings
from maskfold.report.score_tables import calibration_table, failed_by_all, run_table

BINARY = LabelSpec("binary", ("roof",))


def test_the_bins_of_calibration_are_of_classes_or_of_decisions():
    metrics = CalibrationMetrics(BINARY, bins=4)
    metrics.update(np.array([[[0.1, 0.2, 0.9, 1.0]]], np.float32), Label.whole(np.array([[0, 1, 1, 1]], np.uint8)))
    table = calibration_table(metrics)
    assert table["low"].tolist() == [0, 0.75]
    assert table["pixels"].tolist() == [2, 2]
    assert table["predicted"].tolist() == pytest.approx([0.15, 0.95])
    assert table["observed"].tolist() == [0.5, 1]
    metrics = CalibrationMetrics(LabelSpec("multiclass", ("a", "b", "c")), bins=4)
    several = np.array([[[0.1, 0.3]], [[0.8, 0.3]], [[0.1, 0.4]]], np.float32)
    metrics.update(several, Label.whole(np.array([[1, 0]], np.uint8)))
    table = calibration_table(metrics)
    assert table["high"].tolist() == [0.5, 1]
    assert table["predicted"].tolist() == pytest.approx([0.4, 0.8])
    assert table["observed"].tolist() == [0, 1]


def test_failed_by_all_runs():
    rng = np.random.default_rng(3)
    scores = rng.uniform(0.5, 0.9, (2, 40))
    scores[:, 7] = 0.3, 0.2
    scores[:, 23] = 0.1, 0.15
    scores[0, 11] = 0.05  # one run only
    assert failed_by_all(scores).tolist() == [23, 7]
    scores[:, 30] = np.nan
    assert failed_by_all(scores).tolist() == [23, 7]
    assert failed_by_all(np.ones((2, 40))).tolist() == []


def test_runs_against_the_first():
    metric = build_metric("dice", BINARY)
    rng = np.random.default_rng(0)
    right = rng.integers(50, 100, 30).astype(float)
    stats = [np.stack([right, wrong, wrong], 1) for wrong in (np.full(30, 20.0), np.full(30, 10.0))]
    table = run_table(["a", "b"], stats, metric, None)
    dice = [np.mean(2 * right / (2 * right + 2 * wrong)) for wrong in (20, 10)]
    assert table["score"].tolist() == pytest.approx(dice)
    assert table["difference"][1] == pytest.approx(dice[1] - dice[0])
    assert table["better"][1] == 1
    assert np.isnan(table["difference"][0])
    # Groups are drawn together: thirty images of two scenes say less.
    wide = run_table(["a"], stats[:1], metric, np.array([0] * 15 + [1] * 15))
    assert wide["high"][0] - wide["low"][0] != table["high"][0] - table["low"][0]


def test_picking():
    table = pd.DataFrame(
        {
            "score": [0.9, 0.1, 0.5, 0.6, 0.7, np.nan, 0.95],
            "uncertainty": [0.1, 0.2, 0.3, 0.9, 0.0, 1.0, 0.0],
            "unlabelled": [0, 0, 0, 0, 30, 0, 0],
            "unfound": [0, 0, 0, 0, 0, 0, 0],
        }
    )
    assert pick_images(table, 3, failed=[1]) == {
        1: ("worst", "all fail"),
        3: ("median", "uncertain"),
        4: ("suspect",),
    }
    assert len(pick_images(table, 60, failed=[])) == 6


def test_the_medal_of_a_cross_fitted_score_has_an_interval_around_that_score():
    findings = SimpleNamespace(
        competition=SimpleNamespace(profile=load_profile("tgs-salt")),
        choice=SimpleNamespace(score=0.873),
        score=0.893,  # of the settings on the images that they were tuned on
        interval=(0.883, 0.903),
    )
    assert Findings.medals.fget(findings)[0] == "0.8730 would have been in silver, its interval: bronze to silver"


def test_hours_are_of_all_processes_of_all_folds():
    summaries = [{"seconds": 1800, "processes": 4}, {"seconds": 900}, {}]
    history = [SimpleNamespace(summary=summary) for summary in summaries]
    findings = SimpleNamespace(trainings=[SimpleNamespace(history=history[:2]), SimpleNamespace(history=history[2:])])
    assert Findings.hours.fget(findings) == 2.25


def test_the_calibration_error_is_that_of_what_is_decided_on():
    metrics = SimpleNamespace(compute=lambda: {"ece": 0.1, "sce": 0.2})
    survey = SimpleNamespace(calibration={"chosen": metrics})
    errors = [
        Findings.calibration_error.fget(SimpleNamespace(survey=survey, thresholded=kind)) for kind in (True, False)
    ]
    assert errors == [0.2, 0.1]
