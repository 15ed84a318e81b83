"""The colours of one scene: scenes differ in them as places, seasons and cameras do."""

from dataclasses import dataclass

import numpy as np

Paint = tuple[int, int, int, int]  # red, green, blue, and roughness: how strongly texture shows, each 0..255

WHITE: Paint = (232, 232, 226, 10)
POOL: Paint = (84, 178, 200, 20)
GLASS: Paint = (38, 46, 58, 5)
COURTS: tuple[Paint, ...] = ((168, 92, 66, 20), (72, 122, 96, 20), (70, 104, 144, 20))
CARS: tuple[Paint, ...] = (
    (224, 224, 222, 5), (206, 208, 210, 5), (150, 152, 156, 5), (58, 60, 66, 5), (36, 38, 42, 5),
    (150, 38, 36, 5), (44, 68, 122, 5), (116, 118, 112, 5),
)  # fmt: skip

_GRASS = np.array([[92, 116, 62], [136, 132, 82]])  # from lush to dry
_SOIL = np.array([[124, 108, 84], [160, 140, 108]])
_FOLIAGE = np.array([[66, 92, 50], [92, 104, 60]])
_PITCHED: tuple[Paint, ...] = (
    (188, 100, 70, 36), (206, 124, 84, 36), (160, 78, 58, 36), (128, 88, 72, 36), (110, 100, 96, 30),
    (92, 96, 106, 26), (140, 134, 130, 28), (168, 112, 90, 36),
)  # fmt: skip
_FLAT: tuple[Paint, ...] = (
    (196, 194, 188, 20), (172, 170, 168, 24), (146, 148, 152, 24), (214, 212, 208, 14), (124, 126, 134, 22),
    (178, 166, 148, 26), (104, 128, 158, 16),
)  # fmt: skip


@dataclass(frozen=True)
class Palette:
    """One scene's colours; several of a kind are drawn from at random."""

    grass: Paint
    soil: Paint
    crops: tuple[Paint, ...]
    foliage: tuple[Paint, ...]
    asphalt: Paint
    pavement: Paint
    concrete: Paint
    pitched_roofs: tuple[Paint, ...]
    flat_roofs: tuple[Paint, ...]


def vary(rng: np.random.Generator, paint: Paint, amount: float = 0.06) -> Paint:
    """The same paint a little lighter or darker (standard deviation `amount`) and a little off in hue."""
    rgb = np.array(paint[:3]) * rng.normal(1, amount) * rng.normal(1, amount / 4, 3)
    red, green, blue = np.clip(np.rint(rgb), 0, 255).astype(int).tolist()
    return red, green, blue, paint[3]


def darker(paint: Paint, factor: float) -> Paint:
    """The same paint with `factor` of its light."""
    red, green, blue, roughness = paint
    return int(red * factor), int(green * factor), int(blue * factor), roughness


def pick(rng: np.random.Generator, paints: tuple[Paint, ...], amount: float = 0.06) -> Paint:
    """One of the paints, varied."""
    return vary(rng, paints[rng.integers(len(paints))], amount)


def make_palette(rng: np.random.Generator) -> Palette:
    """Draw a scene's colours: how dry its grass is, how worn its asphalt, which roofs were in fashion."""
    grass = _between(rng, _GRASS, roughness=110)
    soil = _between(rng, _SOIL, roughness=80)
    leaves = _between(rng, _FOLIAGE, roughness=90)
    grey = int(rng.uniform(104, 146))
    light = int(rng.uniform(166, 194))
    return Palette(
        grass=grass,
        soil=soil,
        crops=(vary(rng, grass, 0.15), vary(rng, soil, 0.1), (156, 150, 92, 90), (88, 122, 64, 100)),
        foliage=tuple(vary(rng, leaves, 0.16) for _ in range(6)),
        asphalt=(grey, grey, grey + 4, 24),
        pavement=(light, light - 2, light - 8, 18),
        concrete=(light - 6, light - 9, light - 18, 30),
        pitched_roofs=_some(rng, _PITCHED, 4),
        flat_roofs=_some(rng, _FLAT, 3),
    )


def _between(rng: np.random.Generator, ends: np.ndarray, roughness: int) -> Paint:
    share = rng.uniform()
    return vary(rng, (*(ends[0] * (1 - share) + ends[1] * share).tolist(), roughness), 0.05)


def _some(rng: np.random.Generator, paints: tuple[Paint, ...], number: int) -> tuple[Paint, ...]:
    return tuple(vary(rng, paints[i], 0.05) for i in rng.permutation(len(paints))[:number])
