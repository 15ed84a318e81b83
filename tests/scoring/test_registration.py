"""Sums of agreement against loops, the summit against a quadratic that is known."""

import cv2
import numpy as np
import pytest
from scipy import ndimage

from maskfold.labels import Label, LabelSpec
from maskfold.scoring.registration import agreement, edge_agreement, register, summit


def test_agreement_by_hand():
    """Three classes and pixels that do not count, term by term."""
    labels, rng = LabelSpec("multiclass", ("a", "b", "c")), np.random.default_rng(0)
    mask = rng.integers(0, 3, (11, 13)).astype(np.uint8)
    valid = rng.random((11, 13)) > 0.2
    probability = rng.dirichlet([1, 1, 1], (11, 13)).transpose(2, 0, 1).astype(np.float32)
    surface = agreement(probability, Label(np.where(valid, mask, 0).astype(np.uint8), valid), labels)
    smooth = [cv2.GaussianBlur(2 * layer - 1, (0, 0), 1.0) for layer in probability]
    for down, right in ((0, 0), (2, -3), (-1, 3)):
        total = 0.0
        for y in range(3, 8):
            for x in range(3, 10):
                if valid[y, x]:
                    total += sum((1 if mask[y, x] == c else -1) * smooth[c][y - down, x - right] for c in range(3))
        assert surface[down + 3, right + 3] == pytest.approx(total, rel=1e-4)


def test_the_summit_of_a_quadratic_is_exact():
    y, x = np.mgrid[-3:4, -3:4]
    surface = 5 - 2 * (y - 0.4) ** 2 - (x + 1.2) ** 2 + 0.5 * (y - 0.4) * (x + 1.2)
    assert summit(surface) == pytest.approx([0.4, -1.2])
    assert summit(-((y - 5.0) ** 2) - (x * 1.0) ** 2) == pytest.approx([3, 0]), "beyond what is tried"


def test_too_few_images_or_groups_show_nothing():
    surfaces = np.stack([-((np.mgrid[-3:4, -3:4] - 1.0) ** 2).sum(0)] * 30)
    flat = np.zeros((5, 7, 7))
    assert register(surfaces[:19]) is None
    assert register(np.concatenate([surfaces[:19], flat])) is None
    assert register(surfaces, groups=np.arange(30) % 5) is None
    assert register(surfaces, groups=np.arange(30) % 6)[0] == pytest.approx([1, 1])
    assert register(np.zeros((0, 7, 7))) is None


def test_edge_agreement_by_hand():
    """Two classes that overlap, a pixel that does not count, 16 bits: term by term, gradients by another library."""
    labels, rng = LabelSpec("multilabel", ("a", "b")), np.random.default_rng(0)
    mask = (ndimage.gaussian_filter(rng.normal(0, 1, (2, 15, 18)), (0, 2, 2)) > 0).astype(np.uint8)
    valid = rng.random((15, 18)) > 0.2
    image = rng.integers(0, 60_000, (15, 18, 2)).astype(np.uint16)
    surface = edge_agreement(image, Label(np.where(valid, mask, 0).astype(np.uint8), valid), labels)

    def slopes(layer):
        smooth = cv2.GaussianBlur(layer.astype(np.float32), (0, 0), 1.0)
        return np.stack([ndimage.correlate1d(smooth, [-1, 0, 1], axis, mode="mirror") for axis in (0, 1)])

    steep = [slopes(image[..., channel]) for channel in range(2)]
    places = ((3, 3), (0, 2), (5, 6))
    sums = dict.fromkeys(places, 0.0)
    for layer in np.where(valid, mask, 0):
        outline = slopes(layer)
        for y in range(3, 12):
            for x in range(3, 15):
                if valid[y, x] and np.hypot(*outline[:, y, x]) > 0.02:
                    for down, right in places:
                        there = [each[:, y + 3 - down, x + 3 - right] @ outline[:, y, x] for each in steep]
                        sums[down, right] += np.hypot(*there)
    for place in places[1:]:
        assert surface[place] / surface[3, 3] == pytest.approx(sums[place] / sums[3, 3], rel=1e-4)
    assert surface.max() == 1


def test_without_an_edge_nothing_agrees():
    labels, image = LabelSpec("binary", ("roof",)), np.full((20, 24, 3), 90, np.uint8)
    mask = np.zeros((20, 24), np.uint8)
    assert not edge_agreement(image, Label.whole(mask), labels).any()
    mask[4:12, 5:] = 1
    assert not edge_agreement(image, Label.whole(mask), labels).any()
    assert not edge_agreement(image[:6, :6], Label.whole(mask[:6, :6]), labels).any()
