import re
from types import SimpleNamespace

import numpy as np
import pytest

from maskfold.datasets import image_statistics
from maskfold.datasets.statistics import faint
from maskfold.images import ImageSpec


class Drawn:
    """A competition of float images of uneven sizes."""

    images = ImageSpec(channels=2, dtype="float32", scale=4)

    def __init__(self):
        self.asked = []

    def image(self, path):
        self.asked.append(int(path))
        rng = np.random.default_rng(int(path))
        return rng.normal((5, -2), (3, 0.5), (7 + int(path) % 5, 9, 2)).astype(np.float32)


def samples(count):
    return [SimpleNamespace(image=str(number)) for number in range(count)]


def test_statistics_are_numpys_over_all_pixels():
    competition = Drawn()
    mean, std = image_statistics(competition, samples(5))
    for channel in range(2):
        values = np.concatenate([competition.image(str(number))[..., channel].ravel() for number in range(5)])
        assert mean[channel] == pytest.approx(values.mean(dtype=np.float64))
        assert std[channel] == pytest.approx(values.std(dtype=np.float64))


def test_many_images_are_sampled_evenly_and_always_alike():
    first, second = Drawn(), Drawn()
    assert np.array_equal(image_statistics(first, samples(1000)), image_statistics(second, samples(1000)))
    assert first.asked == second.asked
    assert len(first.asked) == 64
    assert (first.asked[0], first.asked[-1]) == (0, 999)
    assert set(np.diff(first.asked)) <= {15, 16}


def test_a_channel_with_one_value_is_not_divided_by_zero():
    competition = SimpleNamespace(images=ImageSpec(channels=1), image=lambda path: np.full((4, 5, 1), 7, np.uint8))
    mean, std = image_statistics(competition, samples(3))
    assert mean == pytest.approx([7])
    assert std == pytest.approx([1])


@pytest.mark.parametrize(
    ("spec", "std", "asked"),
    [
        ({"channels": 2, "dtype": "uint16"}, (90, 310), "65535.*310 around 420.* 14700.* to 1400"),  # 11 bits
        ({"channels": 2, "dtype": "uint16", "scale": 1400}, (90, 310), None),
        ({"channels": 2, "dtype": "uint16", "scale": 2047}, (20, 94), None),  # 0.2 x 0.225 x 2047 is 92.1
        ({"channels": 2, "dtype": "uint16", "scale": 2047}, (20, 91), " to 690"),
        ({"channels": 2, "dtype": "uint8"}, (3, 9), "255"),
        ({"channels": 2, "dtype": "float32"}, (float("nan"), 0.01), None),
    ],
)
def test_a_scale_by_which_pretrained_encoders_see_nothing_is_said(spec, std, asked):
    text = faint(np.array([500.0, 420.0]), np.array(std), ImageSpec(**spec))
    assert (text is None) == (asked is None)
    assert asked is None or re.search(asked, text)


def test_values_that_no_scale_brings_to_1_are_left_alone():
    """Black images; numbers that somebody took logarithms of."""
    spec = ImageSpec(channels=1, dtype="float32")
    assert faint(np.zeros(1), np.zeros(1), spec) is None
    assert faint(np.array([-2.0]), np.array([0.03]), spec) is None
    assert faint(np.array([0.2]), np.array([0.03]), spec) is not None


def test_the_scale_of_8_bit_colours_is_nothing_to_choose():
    assert faint(np.full(3, 9.0), np.full(3, 1.0), ImageSpec()) is None
