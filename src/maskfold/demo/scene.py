"""What a scene is made of, in metres: x to the right, y down, the origin in the upper left corner."""

from dataclasses import dataclass, field

import numpy as np

from maskfold.demo.palette import Paint, Palette


@dataclass(frozen=True)
class Shape:
    """A polygon painted on the ground or a roof; with `width` (metres) the open line through its points."""

    points: np.ndarray  # (N, 2) metres
    paint: Paint
    width: float = 0.0


@dataclass(frozen=True)
class Wing:
    """A rectangle of a building; a pitched roof's ridge runs along `length`."""

    x: float  # of the centre, metres
    y: float
    length: float  # metres
    width: float  # metres
    angle: float  # of the length's direction, radians


@dataclass(frozen=True)
class Building:
    """Wings under one roof, which is `gable`, `hip` or `flat`; `fixtures` are what stands on it."""

    wings: tuple[Wing, ...]
    roof: str
    pitch: float  # rise per metre from the eaves inwards; 0 for flat roofs
    eaves: float  # height of the eaves above the ground, metres
    paint: Paint
    fixtures: tuple[Shape, ...] = ()


@dataclass(frozen=True)
class Tree:
    """A round crown seen from above."""

    x: float
    y: float
    radius: float  # metres
    paint: Paint


@dataclass
class Scene:
    """All that is to be drawn; `ground` in painting order."""

    width: float  # metres
    height: float  # metres
    sun: np.ndarray  # (3,) unit vector from the ground towards the sun (x right, y down, z up)
    palette: Palette
    ground: list[Shape] = field(default_factory=list)
    buildings: list[Building] = field(default_factory=list)
    trees: list[Tree] = field(default_factory=list)

    @property
    def shadow(self) -> np.ndarray:
        """Where the shadow of a point one metre up falls: (2,) metres."""
        return -self.sun[:2] / self.sun[2]


def rectangle(x: float, y: float, length: float, width: float, angle: float) -> np.ndarray:
    """Corners (4, 2) of a rectangle around (x, y) whose length points along `angle` (radians)."""
    corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * 0.5 * [length, width]
    return corners @ rotation(angle).T + [x, y]


def rotation(angle: float) -> np.ndarray:
    """The (2, 2) matrix that turns the x axis by `angle` radians towards the y axis."""
    cosine, sine = np.cos(angle), np.sin(angle)
    return np.array([[cosine, -sine], [sine, cosine]])
