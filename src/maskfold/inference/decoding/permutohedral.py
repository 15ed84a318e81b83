"""Gaussian filtering of points in several dimensions on the permutohedral lattice (Adams, Baek & Davis 2010)."""

import math
from itertools import combinations

import torch
from torch import Tensor

from maskfold.errors import InferenceError

# Variance, in steps of the lattice, of spreading (1/12), the blur [1 2 1] / 4 (1/2) and reading off (1/12) together.
VARIANCE = 2 / 3


class PermutohedralLattice:
    """``sum_j exp(-|f_i - f_j|^2 / 2) v_j`` for all points i, up to a factor common to all, in O(N d^2).

    The lattice of d dimensions has simplices of d + 1 vertices. Values are spread over the vertices around their point
    (with barycentric weights), blurred along the d + 1 axes, and read off in the same way. Only vertices around points
    exist; the blur does not pass through others, so that points far from all others get somewhat too little.

    Adams, Baek & Davis, Fast High-Dimensional Filtering Using the Permutohedral Lattice, Eurographics 2010.
    """

    def __init__(self, features: Tensor) -> None:
        """Place the points.

        Args:
            features: float32 (d, N), coordinates in units of the Gaussian's standard deviation.

        Raises:
            InferenceError: points so far apart that the lattice's vertices cannot be numbered in 64 bits.
        """
        corner, rank, self._weights = _simplices(features)
        keys, steps = _numbered(corner, rank)
        vertices, places = torch.unique(keys.flatten(), return_inverse=True)
        self._places = places
        self._neighbours = [_neighbours(vertices, step) for step in steps]
        self._count = len(vertices)

    def __call__(self, values: Tensor) -> Tensor:
        """The filtered values, float32 (N,), of float32 (N,)."""
        spread = (self._weights * values).flatten()
        # The last vertex stands for those that are not there, and stays 0.
        at = values.new_zeros(self._count + 1).index_add_(0, self._places, spread)
        for before, after in self._neighbours:
            at[:-1] += 0.5 * (at.index_select(0, before) + at.index_select(0, after))
        return (self._weights * at.index_select(0, self._places).view_as(self._weights)).sum(0)


def _simplices(features: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Of each point its simplex: a corner (d + 1, N), the rank of each coordinate, and the vertices' weights."""
    size = len(features) + 1
    elevated = _elevated(features)
    steps = (elevated / size).round()
    corner, rank = steps * size, torch.zeros_like(elevated)
    for one, other in combinations(range(size), 2):
        smaller = (elevated[one] - corner[one]) < (elevated[other] - corner[other])
        rank[one] += smaller
        rank[other] += ~smaller
    # The corner must lie in the lattice's plane, where coordinates sum to 0.
    rank += steps.sum(0)
    wrapped = (rank < 0).float() - (rank >= size).float()
    rank, corner = (rank + wrapped * size).long(), corner + wrapped * size
    ordered = torch.empty_like(elevated).scatter_(0, rank, (elevated - corner) / size)
    first = 1 + ordered[-1:] - ordered[:1]
    return corner.long(), rank, torch.cat([first, (ordered[:-1] - ordered[1:]).flip(0)])


def _elevated(features: Tensor) -> Tensor:
    """The points (d, N) in the plane of d + 1 coordinates with sum 0, where the blur has their unit of length."""
    size = len(features) + 1
    number = torch.arange(1, size, dtype=features.dtype, device=features.device)
    scaled = features * (size * math.sqrt(VARIANCE) / (number * (number + 1)).sqrt())[:, None]
    # Of those after each coordinate, the sum.
    after = torch.cat([scaled.flip(0).cumsum(0).flip(0), torch.zeros_like(scaled[:1])])
    after[1:] -= number[:, None] * scaled
    return after


def _numbered(corner: Tensor, rank: Tensor) -> tuple[Tensor, list[int]]:
    """Numbers (d + 1, N) of the vertices of each simplex, and what is added to a number along each axis."""
    size = len(corner)
    low, high = corner[:-1].amin(1) - 2 * size, corner[:-1].amax(1) + 2 * size
    spans = (high - low + 1).tolist()
    if math.prod(spans) >= 2**63:
        raise InferenceError(
            "the image is too large for a CRF of so small a theta_alpha and theta_beta: set post.crf.theta_alpha or "
            "post.crf.theta_beta higher"
        )
    places = [math.prod(spans[after:]) for after in range(1, size)]
    factors = torch.tensor(places, device=corner.device)[:, None]
    first = ((corner[:-1] - low[:, None]) * factors).sum(0)
    wraps = [(size * factors * (rank[:-1] >= size - vertex)).sum(0) for vertex in range(size)]
    numbers = torch.stack([first + vertex * sum(places) - wrap for vertex, wrap in enumerate(wraps)])
    return numbers, [sum(places) - size * place for place in (*places, 0)]


def _neighbours(vertices: Tensor, step: int) -> tuple[Tensor, Tensor]:
    """Places of the vertices one step behind and ahead among sorted ``vertices``; the number of all where none is."""
    count = len(vertices)
    wanted = vertices + step
    place = torch.searchsorted(vertices, wanted).clamp_(max=count - 1)
    found = vertices[place] == wanted
    ahead = place.where(found, count)
    behind = torch.full_like(ahead, count)
    behind[place[found]] = found.nonzero().squeeze(1)
    return behind, ahead
