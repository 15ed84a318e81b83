"""The checks on real competitions: what they must see, and what would be a false alarm."""

import os
from pathlib import Path

import pytest

from maskfold.checks import check_data
from maskfold.competitions import Competition, load_profile
from maskfold.config import FoldsConfig
from maskfold.rle import RLEDialect

DATA = Path(os.environ.get("MASKFOLD_REAL_DATA", ""))
pytestmark = [
    pytest.mark.real_data,
    pytest.mark.slow,
    pytest.mark.skipif("MASKFOLD_REAL_DATA" not in os.environ, reason="MASKFOLD_REAL_DATA is not set"),
]


def check(profile, folder, **changes):
    competition = Competition(load_profile(profile).model_copy(update=changes), DATA / folder)
    return check_data(competition, FoldsConfig())


def test_building_tiles():
    report = check("tianchi-buildings", "satellite_buildings")
    assert report.ok
    assert not (report.duplicates.pairs["kind"] == "near").any()
    assert report.folds.leaks.empty
    assert len(report.suspicious) <= 8
    assert report.facts["dialect"].startswith("F, 1-based, start-length; ")
    assert report.shift.auc < 0.75


def test_salt():
    report = check("tgs-salt", "tgs_salt")
    assert report.ok
    assert len(report.duplicates.pairs) <= 2
    assert len(report.suspicious) <= 34
    assert report.shift.auc < 0.6


@pytest.mark.parametrize(
    ("profile", "folder"), [("tianchi-buildings", "satellite_buildings"), ("tgs-salt", "tgs_salt")]
)
def test_a_wrong_order_of_square_images_shows_in_the_images(profile, folder):
    report = check(profile, folder, dialect=RLEDialect(order="C"))
    assert [problem for problem in report.problems if "set dialect: {order: F}" in problem]
