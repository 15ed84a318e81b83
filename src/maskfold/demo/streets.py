"""A street plan: a lattice of straight lines, turned and gently bent, with the blocks between them."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from maskfold.demo.palette import WHITE, Palette, vary
from maskfold.demo.scene import Shape, rotation

STEP = 5.0  # metres between the points of a drawn line
PAVEMENT = 1.6  # metres on either side of a road


@dataclass(frozen=True)
class Streets:
    """The lattice: streets run along constant `u` (at `across`) and along constant `v` (at `down`)."""

    centre: np.ndarray  # (2,) metres
    angle: float  # radians
    bend: float  # amplitude, metres
    wavelength: float  # metres
    phases: np.ndarray  # (2,) radians
    across: np.ndarray  # u of the streets along v
    down: np.ndarray  # v of the streets along u
    widths: tuple[np.ndarray, np.ndarray]  # of either family, metres

    def place(self, uv: np.ndarray) -> np.ndarray:
        """Street coordinates (..., 2) to scene coordinates (..., 2), both in metres."""
        waves = self.bend * np.sin(2 * np.pi * uv[..., ::-1] / self.wavelength + self.phases)
        return (uv + waves) @ rotation(self.angle).T + self.centre

    def heading(self, u: float, v: float) -> float:
        """The direction of the streets of constant v at a point, radians."""
        ahead, behind = self.place(np.array([[u + 1, v], [u - 1, v]]))
        return float(np.arctan2(*(ahead - behind)[::-1]))

    def patch(self, u0: float, u1: float, v0: float, v1: float) -> np.ndarray:
        """The outline (N, 2) of a rectangle in street coordinates; its sides bend with the streets."""
        corners = np.array([[u0, v0], [u1, v0], [u1, v1], [u0, v1], [u0, v0]])
        return self.place(np.vstack([_line(*ends) for ends in pairwise(corners)]))


def plan_streets(rng: np.random.Generator, width: float, height: float) -> Streets:
    """Draw a lattice that covers a scene of `width` x `height` metres whatever its angle."""
    reach = 0.5 * np.hypot(width, height) + 60
    across = _marks(rng, reach, 50, 64)
    down = _marks(rng, reach, 70, 120)
    return Streets(
        centre=np.array([width, height]) / 2,
        angle=rng.uniform(-np.pi / 4, np.pi / 4),
        bend=rng.uniform(2, 14),
        wavelength=rng.uniform(260, 420),
        phases=rng.uniform(0, 2 * np.pi, 2),
        across=across,
        down=down,
        widths=(rng.choice([5.5, 6.5, 9.0], len(across)), rng.choice([5.5, 6.5, 9.0], len(down))),
    )


def draw_streets(rng: np.random.Generator, streets: Streets, built: np.ndarray,
                 palette: Palette) -> list[Shape]:  # fmt: skip
    """Pavements, roads and lane marks beside every built block.

    built: bool (len(across) - 1, len(down) - 1), which blocks have buildings; wide roads run on regardless.
    """
    beside = np.pad(built, 1)
    pavements, roads, marks = [], [], []
    asphalt = vary(rng, palette.asphalt, 0.03)
    for ends, width, used in _segments(streets, beside):
        if not used and width < 9:
            continue
        points = streets.place(_line(*ends))
        pavements.append(Shape(points, palette.pavement, width + 2 * PAVEMENT))
        roads.append(Shape(points, asphalt, width))
        if width > 6:
            marks += _lane_marks(points, width)
    return pavements + roads + marks


def _segments(streets: Streets, beside: np.ndarray) -> Iterator[tuple[np.ndarray, float, bool]]:
    """Every street between two junctions: ends (2, 2) in street coordinates, width, built beside or not."""
    across, down = streets.across, streets.down
    for i, u in enumerate(across):
        for j in range(len(down) - 1):
            ends = np.array([[u, down[j]], [u, down[j + 1]]])
            yield ends, streets.widths[0][i], bool(beside[i : i + 2, j + 1].any())
    for j, v in enumerate(down):
        for i in range(len(across) - 1):
            ends = np.array([[across[i], v], [across[i + 1], v]])
            yield ends, streets.widths[1][j], bool(beside[i + 1, j : j + 2].any())


def _lane_marks(points: np.ndarray, width: float) -> list[Shape]:
    """Dashes along the middle, and edge lines on wide roads; none near the junctions at either end."""
    inner = points[2:-2]
    dashes = [Shape(np.stack([a, a + 0.5 * (b - a)]), WHITE, 0.3) for a, b in pairwise(inner)]
    if width < 9 or len(inner) < 2:
        return dashes
    along = np.gradient(inner, axis=0)
    normal = along[:, ::-1] * [-1, 1] / np.linalg.norm(along, axis=1, keepdims=True)
    return dashes + [Shape(inner + side * (width / 2 - 0.5) * normal, WHITE, 0.25) for side in (-1, 1)]


def _line(start: np.ndarray, end: np.ndarray) -> np.ndarray:
    number = max(2, int(np.ceil(np.abs(end - start).max() / STEP)) + 1)
    return np.linspace(start, end, number)


def _marks(rng: np.random.Generator, reach: float, least: float, most: float) -> np.ndarray:
    gaps = rng.uniform(least, most, int(2 * reach / least) + 2)
    marks = np.cumsum(gaps) - reach - least
    return marks[: np.searchsorted(marks, reach) + 1]
