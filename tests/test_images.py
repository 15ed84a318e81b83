import numpy as np
import pytest

from maskfold.errors import MaskfoldError
from maskfold.images import PLAIN, ImageSpec, to_rgb


@pytest.mark.parametrize(
    ("given", "scale", "rgb", "names"),
    [
        ({}, 255, (0, 1, 2), ("red", "green", "blue")),
        ({"channels": 1}, 255, (0, 0, 0), ("grey",)),
        ({"channels": 2, "dtype": "float32"}, 1, (0, 1, 1), ("channel 1", "channel 2")),
        ({"channels": 4, "dtype": "uint16", "rgb": (2, 1, 0)}, 65535, (2, 1, 0), ("blue", "green", "red", "channel 4")),
        ({"channels": 5, "dtype": "uint16", "scale": 10000, "rgb": (4, 1, 3)}, 10000, (4, 1, 3),
         ("channel 1", "green", "channel 3", "blue", "red")),
    ],
)  # fmt: skip
def test_what_follows_from_channels_and_dtype(given, scale, rgb, names):
    spec = ImageSpec(**given)
    assert (spec.scale, spec.rgb, spec.channel_names) == (scale, rgb, names)
    assert spec.plain == (given == {})


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"channels": 0}, "at least 1"),
        ({"dtype": "int8"}, "dtype is int8: expected uint8, uint16, float32"),
        ({"scale": -1}, "above 0"),
        ({"channels": 4, "rgb": (0, 1)}, r"rgb is \[0, 1\]: expected three channels of 0 to 3"),
        ({"channels": 4, "rgb": (0, 1, 4)}, "of 0 to 3"),
    ],
)
def test_what_does_not_go_together(given, message):
    with pytest.raises(MaskfoldError, match=message):
        ImageSpec(**given)


def test_people_see_three_channels_of_eight_bits():
    image = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)
    assert to_rgb(image, PLAIN) is image
    np.testing.assert_array_equal(to_rgb(image[..., :1], ImageSpec(channels=1)), np.repeat(image[..., :1], 3, axis=2))
    bands = np.zeros((1, 5, 4), np.uint16)
    bands[0, :, 3] = [0, 500, 1000, 2000, 60000]
    bands[0, :, 1] = 250
    shown = to_rgb(bands, ImageSpec(channels=4, dtype="uint16", scale=1000, rgb=(3, 1, 0)))
    assert (shown.dtype, shown.shape) == (np.uint8, (1, 5, 3))
    assert shown[0, :, 0].tolist() == [0, 128, 255, 255, 255]
    assert set(shown[0, :, 1].tolist()) == {64}
    assert not shown[..., 2].any()
    floats = np.array([[[0.5], [np.nan], [-1.0]]], np.float32)
    assert to_rgb(floats, ImageSpec(channels=1, dtype="float32"))[0, :, 2].tolist() == [128, 0, 0]
