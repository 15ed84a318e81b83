"""Instances of masks: components, where they touch, how far inside a pixel is; against loops over all pixels."""

import numpy as np
from scipy import ndimage

from maskfold.instances import REACH, borders, components, depths, drawn, numbered, plain


def touching(seed=0, shape=(23, 31)):
    """Rectangles with gaps among their numbers, some touching, some at the edge."""
    rng = np.random.default_rng(seed)
    found = np.zeros(shape, np.int32)
    for number in (3, 4, 9, 12, 20):
        top, left = rng.integers(0, shape[0] - 5), rng.integers(0, shape[1] - 6)
        box = found[top : top + rng.integers(3, 9), left : left + rng.integers(3, 11)]
        box[box == 0] = number
    return found


def test_components_have_eight_neighbours():
    mask = (np.random.default_rng(2).random((9, 14)) < 0.3).astype(np.uint8)
    expected, count = ndimage.label(mask, np.ones((3, 3)))
    found = components(mask)
    assert found.dtype == np.int32
    assert len(np.unique(np.stack([found, expected]).reshape(2, -1), axis=1).T) == count + 1
    np.testing.assert_array_equal(numbered(mask), found)


def test_two_forms_of_a_mask():
    instances = touching()
    assert numbered(instances) is instances
    np.testing.assert_array_equal(plain(instances), instances > 0)
    assert plain(instances).dtype == np.uint8
    classes = np.array([[0, 2, 1]], np.uint8)
    assert plain(classes) is classes


def test_borders_are_near_two_objects():
    for seed in range(4):
        instances = touching(seed)
        expected = np.zeros(instances.shape, bool)
        for y, x in np.ndindex(*instances.shape):
            near = instances[max(0, y - REACH) : y + REACH + 1, max(0, x - REACH) : x + REACH + 1]
            expected[y, x] = len(set(near[near > 0].tolist())) > 1
        np.testing.assert_array_equal(borders(instances), expected)
        assert expected.any()
    assert not borders(np.zeros((4, 7), np.int32)).any()
    assert not borders(np.ones((4, 7), np.int32)).any()


def test_depths_are_distances_to_what_is_not_the_object():
    for seed in range(4):
        instances = touching(seed)
        found = depths(instances)
        assert found.dtype == np.float32
        for number in np.unique(instances)[1:]:
            own = instances == number
            distance = ndimage.distance_transform_edt(np.pad(own, 1, "edge"))[1:-1, 1:-1]
            np.testing.assert_allclose(found[own], (distance / distance[own].max())[own], atol=2e-3)
        assert (found[instances == 0] == 0).all()
    assert depths(np.zeros((3, 5), np.int32)).max() == 0


def test_objects_drawn_over_each_other():
    first, second, third = np.zeros((3, 4, 5), np.uint8)
    first[0:3, 0:2] = second[2:4, 1:5] = third[0, 3] = 1
    expected = [[1, 1, 0, 3, 0], [1, 1, 0, 0, 0], [1, 2, 2, 2, 2], [0, 2, 2, 2, 2]]
    found = drawn([first, second, third], (4, 5))
    assert found.dtype == np.int32
    np.testing.assert_array_equal(found, expected)
    assert not drawn([], (4, 5)).any()
