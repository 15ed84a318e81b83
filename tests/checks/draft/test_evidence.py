"""What decides the first number, where no run is at the image's first or last pixel."""

import numpy as np
import pytest
from tests.drawn_folders import encode, picture, shapes

from maskfold.checks.draft.evidence import study
from maskfold.checks.readings import DrawnMask, edges


def sample(order, start, touching):
    """Masks of 40 x 57, the corners empty; cut by the image's edges or apart from them."""
    found = []
    for seed in range(14):
        mask = shapes(seed, (40, 57), 6)
        inside = np.pad(np.ones((34, 51), np.uint8), 3)
        inside[:, 6:-6] |= touching
        inside[6:-6] |= touching
        mask &= inside
        thumbnail = edges(picture(mask, seed)[::2, ::2].mean(2).astype(np.uint8)[:20, :20])
        found.append(DrawnMask(str(seed), (encode(mask, order, start),), mask.shape, np.resize(thumbnail, (32, 32))))
    return found


@pytest.mark.parametrize("order", ["F", "C"])
@pytest.mark.parametrize("start", [0, 1])
def test_runs_at_the_edges_tell_the_first_number(order, start):
    found = study(sample(order, start, touching=True))
    assert (found.dialect.order, found.dialect.start, found.doubts) == (order, start, [])
    assert f"if pixels count from {start}" in found.reasons["start"]


def test_masks_apart_from_the_edges_do_not():
    found = study(sample("F", 0, touching=False))
    assert found.doubts == ["start"]
    assert "not certain" in found.reasons["start"]


def test_no_masks_show_nothing():
    assert study([]).doubts == ["layout", "order", "start"]
