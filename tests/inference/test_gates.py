"""Whether a class is there at all: enough certain pixels, and the mean of the largest probabilities."""

import numpy as np
import pytest

from maskfold.config import PostConfig
from maskfold.inference.decoding import build_chain, tunable_values, with_and_without
from maskfold.labels import LabelSpec

BINARY = LabelSpec("binary", ("pneumothorax",))
CLOUDS = LabelSpec("multilabel", ("cirrus", "fog", "haze"))
STREET = LabelSpec("multiclass", ("sky", "road", "car"))


def noise(channels, seed=0, shape=(9, 13)):
    return np.random.default_rng(seed).random((channels, *shape)).astype(np.float32)


def decode(probability, labels, **post):
    return build_chain(PostConfig(**post), labels).decode(probability)


@pytest.mark.parametrize("more", [-20, 0, 1, 50])
def test_so_many_pixels_have_to_be_certain(more):
    """The triplet of SIIM's winner: pixels above the high threshold are counted, then the low one decides."""
    probability = noise(1)
    certain = sum(value >= 0.75 for value in probability.ravel().tolist())
    found = decode(probability, BINARY, threshold=0.3, certain={"threshold": 0.75, "area": certain + more})
    there = more <= 0
    np.testing.assert_array_equal(found, (probability[0] >= np.float32(0.3)) * there)


def test_the_largest_probability_may_decide_class_by_class():
    probability = noise(3) * np.array([1, 0.7, 0.9], np.float32)[:, None, None]
    levels = [0.9, 0.8, 0.6]
    found = decode(probability, CLOUDS, threshold=0.25, certain={"threshold": levels, "area": 1})
    for mask, layer, level in zip(found, probability, levels, strict=True):
        np.testing.assert_array_equal(mask, (layer >= 0.25) & (layer.max() >= level))
    assert [bool(mask.any()) for mask in found] == [True, False, True]


@pytest.mark.parametrize("pixels", [1, 7, 50, 117, 1000])
def test_the_mean_of_the_largest_probabilities(pixels):
    probability = noise(3, seed=2)
    means = [sorted(layer.ravel().tolist())[-pixels:] for layer in probability]
    means = [sum(values) / len(values) for values in means]
    level = sorted(means)[1] - 1e-4  # one class is below it
    found = decode(probability, CLOUDS, top_mean={"threshold": level, "pixels": pixels})
    assert [bool(mask.any()) for mask in found] == [mean >= level for mean in means]
    there = np.array(means) >= level
    np.testing.assert_array_equal(found, (probability >= 0.5) & there[:, None, None])


def test_a_mean_of_just_the_threshold_is_enough():
    assert decode(np.full((1, 4, 7), 0.75, np.float32), BINARY, top_mean={"threshold": 0.75, "pixels": 9}).all()


def test_an_image_with_fewer_pixels_gives_the_mean_of_all():
    probability = np.linspace(0.3, 0.9, 35, dtype=np.float32).reshape(1, 5, 7)
    for threshold, there in ((0.599, True), (0.601, False)):
        assert decode(probability, BINARY, top_mean={"threshold": threshold, "pixels": 400}).any() == there


@pytest.mark.parametrize(
    "post",
    [
        {"certain": {"threshold": 0}},
        {"certain": {"area": 0}},
        {"top_mean": {"threshold": 0}},
        {"top_mean": {"pixels": 0}},
    ],
)
def test_0_is_off(post):
    probability = noise(1) * np.float32(0.4)
    assert build_chain(PostConfig(**post), BINARY).gates == ()
    assert decode(probability, BINARY, threshold=0.2, **post).any()


def test_eight_bit_maps_are_decided_as_the_probabilities_that_they_stand_for():
    levels = np.rint(255 * noise(1, seed=3)).astype(np.uint8)
    values = levels.astype(np.float32) / np.float32(255)
    mean = np.sort(values.ravel())[-20:].mean(dtype=np.float64)
    for threshold, there in ((mean - 1e-6, True), (mean + 1e-6, False)):
        post = {"top_mean": {"threshold": threshold, "pixels": 20}}
        assert decode(levels, BINARY, **post).any() == decode(values, BINARY, **post).any() == there


def test_exclusive_classes_that_are_ruled_out_leave_their_pixels_to_others():
    probability = np.stack([np.full((2, 4), 0.2), np.full((2, 4), 0.5), np.full((2, 4), 0.3)]).astype(np.float32)
    assert (decode(probability, STREET) == 1).all()
    assert (decode(probability, STREET, certain={"threshold": {"sky": 0, "road": 0.6, "car": 0}}) == 2).all()


def test_tuning_tries_them_on_and_off_where_the_config_names_them():
    names = [value.name for value in tunable_values(PostConfig(), CLOUDS, {})]
    assert not [name for name in names if "certain" in name or "top_mean" in name]
    post = PostConfig(certain={}, top_mean={})
    values = {value.name: value for value in tunable_values(post, CLOUDS, {})}
    of_fog = values["certain.threshold of fog"]
    assert 0 in of_fog.tried
    assert 0 in values["certain.area of haze"].tried
    assert 0 in values["top_mean.threshold of cirrus"].tried
    assert of_fog.moved(post, 0.9).certain.threshold == (0.75, 0.9, 0.75)
    assert list(values).index("certain.threshold of fog") < list(values).index("threshold of fog")
    assert [(each.certain is None, each.top_mean is None) for each in with_and_without(post)] == [
        (True, True),
        (True, False),
        (False, True),
        (False, False),
    ]
