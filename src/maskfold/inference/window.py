"""Sliding windows: logits of images that are larger than the memory, or than the network was trained for."""

import math
from collections.abc import Callable, Sequence
from itertools import product

import torch
from torch import Tensor

from maskfold.inference.grid import window_starts

Network = Callable[[Tensor], Tensor]


def window_logits(network: Network, images: Tensor, *, window: int, overlap: float, batch_size: int = 8) -> Tensor:
    """Logits (N, C, H, W), float32, of images (N, 3, H, W): the weighted mean over overlapping windows.

    Windows of ``window`` x ``window`` pixels overlap by the share ``overlap`` of their side or a little more:
    they are spread evenly, so that the last one ends at the image's border. A window's weight falls from
    its centre as a squared sine, positive everywhere, because a network sees least near a border. Images
    that fit into a window go through the network as they are. ``batch_size`` is the number of windows of all
    images that go through the network together (at least one per image).
    """
    height, width = images.shape[-2:]
    if height <= window and width <= window:
        return network(images).float()
    rows, columns = (window_starts(size, window, overlap) for size in (height, width))
    row_weight, column_weight = (window_weight(min(window, size), images.device) for size in (height, width))
    weight = row_weight[:, None] * column_weight
    places = [(..., slice(y, y + len(row_weight)), slice(x, x + len(column_weight))) for y, x in product(rows, columns)]
    together = max(1, batch_size // len(images))
    total = None
    for first in range(0, len(places), together):
        group = places[first : first + together]
        logits = network(torch.cat([images[place] for place in group])).float()
        if total is None:
            total = logits.new_zeros(len(images), logits.shape[1], height, width)
        for place, part in zip(group, logits.split(len(images)), strict=True):
            total[place] += part * weight
    assert total is not None  # there is a window at least
    return total / (window_cover(rows, row_weight, height)[:, None] * window_cover(columns, column_weight, width))


def window_weight(size: int, device: torch.device) -> Tensor:
    """sin^2 at the pixels' centres: (size,), in (0, 1]."""
    return torch.sin((torch.arange(size, device=device) + 0.5) * (math.pi / size)).square()


def window_cover(starts: Sequence[int], weight: Tensor, size: int) -> Tensor:
    """The sum of all windows' weights at every pixel of one axis. Windows form a grid, so axes are independent."""
    cover = weight.new_zeros(size)
    for start in starts:
        cover[start : start + len(weight)] += weight
    return cover
