import numpy as np
import pandas as pd
import pytest

from maskfold.checks.images import Images
from maskfold.checks.notes import Notes
from maskfold.checks.shift import check_shift
from maskfold.images import PLAIN

COLOURS = ["mean red", "std red", "mean green", "std green", "mean blue", "std blue"]


def images(train, test):
    table = pd.DataFrame(np.concatenate([train, test]), columns=COLOURS)
    table["split"] = ["train"] * len(train) + ["test"] * len(test)
    return Images(table, np.zeros((len(table), 32, 32), np.uint8), PLAIN)


def statistics(count, seed, **moved):
    values = np.random.default_rng(seed).normal(100, 10, (count, len(COLOURS)))
    for name, by in moved.items():
        values[:, COLOURS.index(name.replace("_", " "))] += by
    return values


def test_alike():
    notes = Notes()
    shift = check_shift(images(statistics(300, 1), statistics(200, 2)), notes)
    assert 0.4 < shift.auc < 0.6
    assert notes.warnings == []
    assert f"AUC {shift.auc:.2f}" in notes.facts["train/test shift"]


def test_the_area_under_the_curve_is_that_of_two_normal_distributions():
    """Two normal distributions d standard deviations apart: AUC = Phi(d / sqrt 2)."""
    shift = check_shift(images(statistics(2000, 1), statistics(1000, 2, mean_green=10)), Notes())
    assert shift.auc == pytest.approx(0.760, abs=0.02)  # d = 1


def test_moved_features_come_first():
    notes = Notes()
    shift = check_shift(images(statistics(200, 1), statistics(150, 2, mean_blue=-25, std_red=12)), notes)
    assert shift.auc > 0.95
    assert list(shift.features["feature"][:2]) == ["mean blue", "std red"]
    assert shift.features["difference"][0] == pytest.approx(-2.5, abs=0.3)
    assert shift.features["train"][0] - shift.features["test"][0] == pytest.approx(25, abs=3)
    first = shift.features.iloc[0]
    assert f"mean blue, {first['train']:.0f} in train and {first['test']:.0f} in test" in notes.warnings[0]


@pytest.mark.parametrize("counts", [(39, 500), (500, 39), (500, 0)])
def test_too_few_images(counts):
    notes = Notes()
    assert check_shift(images(statistics(counts[0], 1), statistics(counts[1], 2, mean_red=90)), notes) is None
    assert notes.facts["train/test shift"].startswith(f"not measured: {counts[0]} and {counts[1]} images")
    assert notes.warnings == []


def test_constant_features_do_not_break_it():
    one, two = statistics(60, 1), statistics(60, 2)
    one[:, 0] = two[:, 0] = 7
    assert np.isfinite(check_shift(images(one, two), Notes()).features["difference"]).all()
