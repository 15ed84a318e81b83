import math
from itertools import pairwise

import pytest
import torch
from torch import nn

from maskfold.inference.grid import window_starts
from maskfold.inference.window import window_logits


class Counting(nn.Module):
    """Pointwise, two maps; notes the batches it saw."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(1)
        self.layer = nn.Conv2d(3, 2, 1)
        self.shapes = []

    @torch.no_grad()
    def forward(self, images):
        self.shapes.append(tuple(images.shape))
        return self.layer(images)


@pytest.mark.parametrize("size", [(50, 70), (32, 100), (20, 100), (33, 33), (100, 20)])
@pytest.mark.parametrize("overlap", [0.0, 0.25, 0.9])
def test_a_pointwise_network_gives_what_it_gives_on_the_whole_image(size, overlap):
    network, images = Counting(), torch.rand(2, 3, *size)
    whole = network(images)
    network.shapes.clear()
    tiled = window_logits(network, images, window=32, overlap=overlap, batch_size=5)
    torch.testing.assert_close(tiled, whole, rtol=1e-5, atol=1e-6)
    assert all(shape[0] <= 5 or shape[0] == 2 for shape in network.shapes)
    assert {shape[2:] for shape in network.shapes} == {(min(32, size[0]), min(32, size[1]))}


@pytest.mark.parametrize("size", [(32, 32), (10, 31)])
def test_images_that_fit_are_not_cut(size):
    network, images = Counting(), torch.rand(3, 3, *size)
    assert torch.equal(window_logits(network, images, window=32, overlap=0.5, batch_size=1), network.layer(images))
    assert network.shapes == [(3, 3, *size)]


@pytest.mark.parametrize("size", [33, 64, 100, 257])
@pytest.mark.parametrize("overlap", [0.0, 0.25, 0.5, 0.99])
def test_windows_reach_from_border_to_border_and_overlap_enough(size, overlap):
    starts = window_starts(size, 32, overlap)
    assert starts[0] == 0
    assert starts[-1] + 32 == size
    steps = [b - a for a, b in pairwise(starts)]
    assert all(0 < step <= math.ceil(max(1, 32 * (1 - overlap))) for step in steps)
    assert max(steps) - min(steps) <= 1


def test_few_windows_are_used():
    assert window_starts(64, 32, 0.0) == [0, 32]
    assert window_starts(56, 32, 0.25) == [0, 24]
    assert window_starts(57, 32, 0.25) == [0, 12, 25]


def test_overlaps_are_weighted_by_a_squared_sine():
    """A network that says which window it is in: the result must be the weighted mean by the formula."""
    calls = []

    def network(images):
        calls.append(len(calls) + 1.0)
        return torch.full((1, 1, *images.shape[-2:]), calls[-1])

    tiled = window_logits(network, torch.zeros(1, 3, 4, 12), window=8, overlap=0.5, batch_size=1)[0, 0, 0]
    weight = [math.sin(math.pi * (i + 0.5) / 8) ** 2 for i in range(8)]
    expected = []
    for x in range(12):
        first = weight[x] if x < 8 else 0.0
        second = weight[x - 4] if x >= 4 else 0.0
        expected.append((1 * first + 2 * second) / (first + second))
    assert tiled.tolist() == pytest.approx(expected, rel=1e-5)
    assert calls == [1.0, 2.0]


def test_large_windows_keep_their_corners():
    """The smallest weights are about 1e-12 there; the division must still give the network's value."""
    images = torch.rand(1, 3, 700, 1100)
    tiled = window_logits(lambda x: x[:, :1] * 3 - 1, images, window=640, overlap=0.0, batch_size=1)
    torch.testing.assert_close(tiled, images[:, :1] * 3 - 1, rtol=1e-5, atol=1e-5)


def test_half_precision_is_summed_in_float32():
    images = torch.rand(1, 3, 40, 40)
    tiled = window_logits(lambda x: x[:, :1].bfloat16(), images, window=32, overlap=0.5)
    assert tiled.dtype == torch.float32
    torch.testing.assert_close(tiled, images[:, :1].bfloat16().float(), rtol=1e-5, atol=1e-6)
