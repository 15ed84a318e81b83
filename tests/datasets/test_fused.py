"""Presets in few passes: bit for bit what albumentations' own Compose makes of the same draws."""

import numpy as np
import pytest

from maskfold.datasets import PRESETS, build_augmentation
from maskfold.images import ImageSpec
from maskfold.labels import Label

RGB = ImageSpec()
SPECS = {
    "rgb": RGB,
    "grey": ImageSpec(1),
    "four bands": ImageSpec(4, "uint16", 4000),
    "floats": ImageSpec(3, "float32"),
}
FUSED = [name for name in PRESETS if name != "scale_crop"]


def draw(spec, size, seed):
    rng = np.random.default_rng(seed)
    coarse = rng.random((-(-size[0] // 5), -(-size[1] // 5), spec.channels))
    image = np.kron(coarse, np.ones((5, 5, 1)))[: size[0], : size[1]] * spec.scale
    image = (image + rng.random(image.shape) * spec.scale / 9).clip(0, spec.scale).astype(spec.dtype)
    mask = (rng.random(size) < 0.4).astype(np.uint8)
    return image, mask


def both(preset, spec, crop):
    """The augmentation as it is, and the same one without fusing."""
    fast, slow = (build_augmentation(preset, crop=crop, images=spec) for _ in range(2))
    assert fast.fused is not None
    slow.fused = None
    return fast, slow


def assert_same(found, expected):
    np.testing.assert_array_equal(found[0], expected[0])
    assert found[0].dtype == expected[0].dtype
    np.testing.assert_array_equal(found[1].values, expected[1].values)
    np.testing.assert_array_equal(found[1].valid, expected[1].valid)
    assert found[1].values.dtype == expected[1].values.dtype


@pytest.mark.parametrize("preset", FUSED)
@pytest.mark.parametrize(
    ("size", "crop"), [((40, 61), 32), ((25, 70), 32), ((70, 24), 32), ((32, 32), 32), ((21, 27), 32), ((101, 99), 128)]
)
def test_the_same_bits(preset, size, crop):
    fast, slow = both(preset, RGB, crop)
    image, mask = draw(RGB, size, 3)
    image.flags.writeable = False
    for seed in range(40):
        assert_same(fast(image, Label.whole(mask), seed), slow(image, Label.whole(mask), seed))


@pytest.mark.parametrize("kind", ["grey", "four bands", "floats"])
@pytest.mark.parametrize("preset", FUSED)
def test_other_images(preset, kind):
    fast, slow = both(preset, SPECS[kind], 24)
    image, mask = draw(SPECS[kind], (31, 20), 4)
    for seed in range(15):
        assert_same(fast(image, Label.whole(mask), seed), slow(image, Label.whole(mask), seed))


@pytest.mark.parametrize("layers", [None, 3])
def test_pixels_that_do_not_count_move_along(layers):
    fast, slow = both("d4_color", RGB, 32)
    image, mask = draw(RGB, (29, 50), 5)
    valid = np.random.default_rng(6).random(mask.shape) < 0.8
    values = mask if layers is None else np.stack([np.roll(mask, k, 1) for k in range(layers)])
    values = np.where(valid, values, 0).astype(np.uint8)
    for seed in range(25):
        assert_same(fast(image, Label(values, valid), seed), slow(image, Label(values, valid), seed))


@pytest.mark.parametrize("size", [(32, 32), (21, 27)], ids=str)
def test_what_is_given_is_not_changed(size):
    fast, _ = both("d4_color", RGB, 32)
    image, mask = draw(RGB, size, 7)
    copies = image.copy(), mask.copy()
    for seed in range(30):
        fast(image, Label.whole(mask), seed)
    np.testing.assert_array_equal(image, copies[0])
    np.testing.assert_array_equal(mask, copies[1])


def test_a_list_is_albumentations_alone():
    assert build_augmentation(["HorizontalFlip"], crop=32).fused is None
    assert build_augmentation("scale_crop", crop=32).fused is None
