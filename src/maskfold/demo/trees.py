"""Tree crowns: a few lumpy, sunlit half-spheres per scene, stamped in many sizes and greens."""

from typing import NamedTuple

import cv2
import numpy as np

SIDE = 64  # pixels of a stamp
CROWNS = 12  # of a scene


class Crown(NamedTuple):
    """A crown in the square around it, each array float32 (SIDE, SIDE)."""

    alpha: np.ndarray  # 0..1
    shade: np.ndarray  # 1 = the leaves' own colour


def make_crowns(rng: np.random.Generator, sun: np.ndarray) -> list[Crown]:
    """Draw `CROWNS` crowns lit by the scene's sun, a (3,) unit vector towards it."""
    return [_crown(rng, sun) for _ in range(CROWNS)]


def _crown(rng: np.random.Generator, sun: np.ndarray) -> Crown:
    axis = (np.arange(SIDE, dtype=np.float32) + 0.5) / (SIDE / 2) - 1
    x, y = axis[None, :], axis[:, None]
    turn = np.arctan2(y, x)
    outline = sum(rng.normal(0, 0.05) * np.cos(k * turn + rng.uniform(0, 6.28)) for k in range(2, 9))
    radius = np.hypot(x, y) / np.clip(0.86 + outline, 0.6, 0.98)
    alpha = np.clip((1 - radius) * 12, 0, 1)
    height = np.sqrt(np.clip(1 - radius**2, 0.02, 1)) * 0.8 + 0.16 * _lumps(rng, 7) + 0.07 * _lumps(rng, 16)
    slope_y, slope_x = np.gradient(height, 2 / SIDE)
    light = (sun[2] - slope_x * sun[0] - slope_y * sun[1]) / np.sqrt(1 + slope_x**2 + slope_y**2)
    return Crown(alpha.astype(np.float32), (0.35 + 0.95 * np.clip(light, 0, 1)).astype(np.float32))


def _lumps(rng: np.random.Generator, cells: int) -> np.ndarray:
    noise = rng.standard_normal((cells, cells)).astype(np.float32)
    return cv2.resize(noise, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
