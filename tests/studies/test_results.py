"""What a difference and its interval say."""

import math

import pytest

from maskfold.metrics import PairedResult
from maskfold.studies.results import judge


def verdict(difference, low, high, folds=1, all_folds=5, groups=40):
    return judge(PairedResult(difference, low, high, 0.5), folds, all_folds, groups)


def test_an_interval_that_leaves_out_0_decides():
    assert verdict(0.02, 0.001, 0.05) == "keep"
    assert verdict(-0.02, -0.05, -0.001) == "drop"


def test_more_folds_narrow_the_interval_by_their_square_root():
    # 0.03 wide towards 0, of a difference of 0.02: (3/2)² = 2.25 times as many images.
    assert verdict(0.02, -0.01, 0.04) == "undecided: 2 more folds would decide"
    assert verdict(-0.02, -0.09, 0.01) == "undecided: 2 more folds would decide"
    assert verdict(0.02, -0.001, 0.04) == "undecided: 1 more fold would decide"
    assert verdict(0.02, -0.01, 0.04, folds=2) == "undecided: 3 more folds would decide"
    assert verdict(0.02, -0.01, 0.04, folds=3) == "undecided: some 7 folds would decide, there are 5"


def test_few_groups_decide_nothing():
    assert verdict(0.02, 0.001, 0.05, groups=2) == "undecided: 2 more folds would decide"
    assert verdict(0.02, 0.001, 0.05, groups=5) == "undecided: 1 more fold would decide"
    assert verdict(0.02, 0.001, 0.05, groups=6) == "keep"
    assert verdict(0.02, -0.06, 0.05, groups=2) == "undecided: some 16 folds would decide, there are 5"


def test_folds_do_not_help_where_the_images_are_others():
    assert verdict(0.02, -0.01, 0.04, all_folds=None) == "undecided"
    assert verdict(0.02, 0.01, 0.04, all_folds=None) == "keep"


@pytest.mark.parametrize("difference", [0.0, 1e-4])
def test_no_difference(difference):
    assert verdict(difference, -0.01, 0.01) == "undecided: no difference to speak of"


def test_one_group_tells_nothing():
    assert verdict(0.1, math.nan, math.nan, groups=1).startswith("undecided: one image or group")
