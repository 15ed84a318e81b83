import numpy as np
import pytest
import torch

from maskfold.inference.views import resize
from maskfold.rasters.resampling import read_resized
from maskfold.resizing import fit_image

SIZES = [(90, 61), (45, 122), (23, 20), (37, 150), (200, 13), (61, 97)]
IMAGE = np.random.default_rng(5).random((61, 97, 3), np.float32)


def part_of(image):
    return lambda part: image[part[0], part[1]]


def halves(size):
    """Parts that cover an image, none of them of a round size."""
    cuts = [(0, length // 3 + 1, length // 2 + 3, length) for length in size]
    for top, bottom in zip(cuts[0][:-1], cuts[0][1:], strict=True):
        for left, right in zip(cuts[1][:-1], cuts[1][1:], strict=True):
            yield slice(top, bottom), slice(left, right)


def together(image, size, rule):
    whole = np.full((*size, image.shape[2]), np.nan, np.float64)
    for part in halves(size):
        whole[part] = read_resized(part_of(image), image.shape[:2], size, part, rule)
    return whole


@pytest.mark.parametrize("size", SIZES)
def test_parts_of_images_are_those_of_opencvs_whole(size):
    np.testing.assert_allclose(together(IMAGE, size, "image"), fit_image(IMAGE, size), atol=2e-5)


@pytest.mark.parametrize("size", SIZES)
def test_parts_of_maps_are_those_of_torchs_whole(size):
    whole = resize(torch.from_numpy(IMAGE).permute(2, 0, 1)[None], size)[0].permute(1, 2, 0).numpy()
    np.testing.assert_allclose(together(IMAGE, size, "map"), whole, atol=2e-5)


@pytest.mark.parametrize("size", SIZES)
def test_nearest_keeps_values(size):
    image = (IMAGE[..., :1] * 200).astype(np.uint8)
    rows, columns = (((np.arange(to) + 0.5) * of / to).astype(int) for to, of in zip(size, (61, 97), strict=True))
    np.testing.assert_array_equal(together(image, size, "nearest"), image[rows][:, columns])


def test_its_own_size_is_read_as_it_is():
    image = (IMAGE * 200).astype(np.uint8)
    part = slice(3, 9), slice(0, 97)
    assert read_resized(part_of(image), (61, 97), (61, 97), part, "image").base is image


def test_no_more_is_read_than_a_part_needs():
    seen = []

    def read(part):
        seen.append(tuple((axis.start, axis.stop) for axis in part))
        return np.zeros((part[0].stop - part[0].start, part[1].stop - part[1].start, 1), np.float32)

    read_resized(read, (4000, 6000), (1000, 2000), (slice(10, 20), slice(500, 510)), "image")
    assert seen == [((40, 80), (1500, 1530))]
