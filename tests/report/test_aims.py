"""What a run learned from, as its report says it."""

import pytest
from tests.conftest import TINY

from maskfold.config import load_config
from maskfold.report.page import aims


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, []),
        (
            {"data.label_shift": [0.5, -0.25]},
            ["masks moved back from where they stand, +0.5 px down and -0.25 px right of what images show"],
        ),
        (
            {"data.mix": {"recipe": "cutmix", "share": 0.25}, "data.extra": ["pseudo/a", "pseudo/b"]},
            [
                "mixtures of images and their masks (cutmix, 25.0\u00a0% of the images)",
                "pseudo-labels (pseudo/a, pseudo/b)",
            ],
        ),
        (
            {"targets.smoothing.boundary": 1.5, "semi": {}, "averaging.ema": 0.9},
            [
                "smoothed masks (everywhere 0, along boundaries 1.5 px)",
                "what the moving average of its own weights made of images without labels",
            ],
        ),
    ],
)
def test_everything_that_changes_what_is_learned_is_said(changes, said):
    assert list(aims(load_config(None, {**TINY, **changes}))) == said
