"""Roofs as height fields: where several wings meet, the higher one shows, so valleys come by themselves."""

from typing import NamedTuple

import numpy as np

from maskfold.demo.scene import Building, Wing, rectangle

RIDGE = 0.22  # half the width of a ridge's line, metres
COURSE = 0.95  # from one drawn course of tiles to the next, metres
PARAPET = 0.45  # width of a flat roof's rim, metres
SHEET = 2.4  # from one seam of a flat roof's covering to the next, metres


class Surface(NamedTuple):
    """A roof over a grid of points, each array (H, W)."""

    covered: np.ndarray  # bool
    shade: np.ndarray  # float, 1 = as bright as level ground in the sun


def roof_surface(building: Building, x: np.ndarray, y: np.ndarray, sun: np.ndarray) -> Surface:
    """Where a building covers the points (x, y) (metres, broadcast to (H, W)), and how bright it is."""
    shape = np.broadcast_shapes(x.shape, y.shape)
    covered = np.zeros(shape, bool)
    top = np.full(shape, -1.0)
    shade = np.ones(shape)
    for wing in building.wings:
        along, across = _local(wing, x, y)
        inside = covers(wing, x, y)
        depth, brightness = _plane(building, wing, along, across, sun)
        higher = inside & (depth > top)
        covered |= inside
        top[higher] = depth[higher]
        shade[higher] = brightness[higher]
    if building.roof == "flat":
        shade = np.where(top < PARAPET, 1.16, np.where(top < 2 * PARAPET, 0.86, shade))
    return Surface(covered, shade)


def covers(wing: Wing, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Which of the points (x, y) (metres) lie in a wing: bool."""
    along, across = _local(wing, x, y)
    return (np.abs(along) <= wing.length / 2) & (np.abs(across) <= wing.width / 2)


def shadow_outlines(building: Building, fall: np.ndarray) -> list[np.ndarray]:
    """For each wing the points (N, 2) whose convex hull holds its shadow; `fall`: shadow of one metre."""
    outlines = []
    for wing in building.wings:
        corners = rectangle(wing.x, wing.y, wing.length, wing.width, wing.angle)
        hip = wing.width if building.roof == "hip" else 0.0
        ridge = rectangle(wing.x, wing.y, max(wing.length - hip, 0.1), 0.1, wing.angle)
        top = building.eaves + building.pitch * wing.width / 2
        outlines.append(np.vstack([corners, corners + building.eaves * fall, ridge + top * fall]))
    return outlines


def _plane(building: Building, wing: Wing, along: np.ndarray, across: np.ndarray,
           sun: np.ndarray) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """Distance inwards from the eaves (metres), and brightness, of one wing's own roof."""
    to_side = wing.width / 2 - np.abs(across)
    to_end = wing.length / 2 - np.abs(along)
    if building.roof == "flat":
        return np.minimum(to_side, to_end), np.where(along % SHEET < 0.1 * SHEET, 0.88, 1.0)
    on_end = to_end < to_side if building.roof == "hip" else np.zeros(to_side.shape, bool)
    depth = np.where(on_end, to_end, to_side)
    # Seen along the wing, the sun stands at (s_along, s_across); a plane rising inwards faces outwards.
    s_along, s_across = _turn(wing, sun[0], sun[1])
    facing = np.where(on_end, np.sign(along) * s_along, np.sign(across) * s_across)
    light = (sun[2] + building.pitch * facing) / np.hypot(1, building.pitch) / sun[2]
    shade = 0.38 + 0.62 * np.clip(light, 0, 1.5)
    shade = shade * np.where(depth % COURSE < 0.4 * COURSE, 0.93, 1.02)
    edge = np.abs(across) < RIDGE
    if building.roof == "hip":
        edge |= np.abs(to_side - to_end) < RIDGE
    return depth, np.where(edge, shade * 1.12 + 0.06, shade)


def _local(wing: Wing, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return _turn(wing, x - wing.x, y - wing.y)


def _turn(wing: Wing, dx: np.ndarray, dy: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A scene vector's parts along a wing's length and width."""
    cosine, sine = np.cos(wing.angle), np.sin(wing.angle)
    return cosine * dx + sine * dy, cosine * dy - sine * dx
