"""Borders that are predicted outside or inside of where they are drawn, in pixels."""

import cv2
import numpy as np
import pytest

from maskfold.report.borders import compare_borders

WHOLE = np.ones((60, 80), bool)


@pytest.mark.parametrize("by", [-2, -1, 0, 1, 3])
def test_a_straight_border_that_was_moved(by):
    labelled, predicted = np.zeros((60, 80), bool), np.zeros((60, 80), bool)
    labelled[:, :30] = True
    predicted[:, : 30 + by] = True
    found = compare_borders(predicted, labelled, WHOLE)
    assert found.offset == pytest.approx(by)
    assert np.isnan(found.share) if by == 0 else found.share == 1.0


def test_dilation_of_a_disc_and_what_is_far_from_borders():
    disc = cv2.circle(np.zeros((60, 80), np.uint8), (40, 30), 15, 1, -1)
    wider = cv2.circle(np.zeros((60, 80), np.uint8), (40, 30), 17, 1, -1)
    assert compare_borders(wider > 0, disc > 0, WHOLE).offset == pytest.approx(2, abs=0.35)
    assert compare_borders(disc > 0, wider > 0, WHOLE).offset == pytest.approx(-2, abs=0.35)
    wider[2:6, 2:6] = 1
    found = compare_borders(wider > 0, disc > 0, WHOLE)
    beside = (wider != disc).sum() - 16
    assert found.share == pytest.approx(beside / (beside + 16))
    assert found.offset == pytest.approx(2, abs=0.35), "an object by itself is no border"


def test_no_border_and_pixels_that_do_not_count():
    some = np.arange(60)[:, None] + np.zeros(80) > 20
    for plain in (np.zeros((60, 80), bool), WHOLE):
        assert np.isnan(compare_borders(some, plain, WHOLE)).all()
    labelled, predicted = np.zeros((60, 80), bool), np.zeros((60, 80), bool)
    labelled[:, :30] = True
    predicted[:, :32] = True
    predicted[:20, :40] = True
    assert compare_borders(
        predicted, labelled, ~predicted | labelled | (np.arange(60)[:, None] >= 20)
    ).offset == pytest.approx(2 * 40 / 50, abs=1e-6)  # of the upper rows one side of the border counts
