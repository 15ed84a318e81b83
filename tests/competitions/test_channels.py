import numpy as np
import pytest

from maskfold.competitions.channels import Channel, make_channels
from maskfold.errors import CompetitionError

STORED = np.random.default_rng(5).integers(0, 250, (5, 7, 4), np.uint8)


def test_channels_are_differences_and_ranges():
    made = make_channels(STORED, [Channel(3, minus=1, low=-50, high=100), Channel(0, low=20, high=200)], "x.npy")
    assert made.dtype == np.float32
    values = STORED.astype(float)
    np.testing.assert_allclose(made[..., 0], np.clip((values[..., 3] - values[..., 1] + 50) / 150, 0, 1), rtol=1e-6)
    np.testing.assert_allclose(made[..., 1], np.clip((values[..., 0] - 20) / 180, 0, 1), rtol=1e-6)
    assert (made[..., 0] == 0).any()  # below 0 nothing wraps around
    assert (made[..., 0] == 1).any()


def test_a_channel_that_is_not_there():
    with pytest.raises(CompetitionError, match=r"x\.npy has the channels 0 to 3, .* made of channel 4"):
        make_channels(STORED, [Channel(1, minus=4)], "x.npy")
