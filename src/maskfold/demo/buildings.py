"""Buildings: footprints of one to three wings, their roofs, and what stands on the roofs."""

import numpy as np

from maskfold.demo.palette import GLASS, Paint, Palette, pick, vary
from maskfold.demo.scene import Building, Shape, Wing, rectangle, rotation

# Which wings leave the main one, as (where along its half length, -1..1); all leave to the same side.
FOOTPRINTS: dict[str, tuple[float, ...]] = {"bar": (), "L": (1.0,), "T": (0.0,), "U": (-1.0, 1.0)}


def house(rng: np.random.Generator, palette: Palette, main: Wing, out: float) -> Building:
    """A dwelling: mostly pitched roof, at times with wings that reach `out` metres beyond the main one."""
    footprint = rng.choice(list(FOOTPRINTS), p=[0.5, 0.28, 0.12, 0.1])
    roof = str(rng.choice(["gable", "hip", "flat"], p=[0.5, 0.32, 0.18]))
    if footprint == "U" and main.length < 13:
        footprint = "L"
    wings = _wings(rng, FOOTPRINTS[footprint], roof, main, out)
    if roof == "flat":
        return flat_building(rng, palette, wings, eaves=rng.uniform(3.5, 6))
    return _pitched(rng, pick(rng, palette.pitched_roofs), wings, roof)


def block_of_flats(rng: np.random.Generator, palette: Palette, main: Wing, out: float) -> Building:
    """A large building of any footprint, flat or hipped, several storeys high."""
    roof = str(rng.choice(["flat", "hip"], p=[0.65, 0.35]))
    footprint = rng.choice(list(FOOTPRINTS), p=[0.3, 0.3, 0.1, 0.3])
    wings = _wings(rng, FOOTPRINTS[footprint], roof, main, out)
    if roof == "flat":
        return flat_building(rng, palette, wings, eaves=rng.uniform(7, 11))
    return _pitched(rng, pick(rng, palette.pitched_roofs), wings, roof, eaves=rng.uniform(6, 9))


def hall(rng: np.random.Generator, palette: Palette, wing: Wing) -> Building:
    """A works hall or a store: one wing, flat or with a low metal gable."""
    if rng.uniform() < 0.6:
        return flat_building(rng, palette, (wing,), eaves=rng.uniform(5, 9))
    return Building((wing,), "gable", 0.2, rng.uniform(5, 7), pick(rng, palette.flat_roofs))


def shed(rng: np.random.Generator, palette: Palette, wing: Wing) -> Building:
    """A garage or garden shed with a low roof."""
    paint = pick(rng, palette.flat_roofs + palette.pitched_roofs)
    return Building((wing,), str(rng.choice(["flat", "gable"])), 0.3, rng.uniform(2.2, 2.8), paint)


def flat_building(rng: np.random.Generator, palette: Palette, wings: tuple[Wing, ...],
                  eaves: float) -> Building:  # fmt: skip
    """A flat roof with air conditioning, vents and skylights on its first wing."""
    main = wings[0]
    paint = pick(rng, palette.flat_roofs)
    fixtures: list[Shape] = []
    for _ in range(int(rng.poisson(min(main.length * main.width / 70, 9)))):
        length, width = rng.uniform(0.8, min(3.2, main.width / 4), 2)
        along, across = rng.uniform(-0.36, 0.36, 2) * [main.length, main.width]
        top = GLASS if rng.uniform() < 0.2 else vary(rng, (200, 200, 200, 5), 0.12)
        fixtures += _box(main, along, across, length, width, top)
    return Building(wings, "flat", 0.0, eaves, paint, tuple(fixtures))


def _wings(rng: np.random.Generator, sides: tuple[float, ...], roof: str, main: Wing,
           out: float) -> tuple[Wing, ...]:  # fmt: skip
    """The main wing and the side wings, which leave it at a right angle (towards +y at angle 0)."""
    wings = [main]
    breadth = min(main.width, main.length / 2) * rng.uniform(0.75, 0.95)
    # A gabled side wing ends at the main ridge (a second gable would show behind it); others pass below it.
    start = 0.0 if roof == "gable" else -main.width / 2
    end = main.width / 2 + out
    for side in sides:
        local = np.array([side * (main.length - breadth) / 2, (start + end) / 2])
        x, y = (rotation(main.angle) @ local + [main.x, main.y]).tolist()
        wings.append(Wing(x, y, end - start, breadth, main.angle + np.pi / 2))
    return tuple(wings)


def _pitched(rng: np.random.Generator, paint: Paint, wings: tuple[Wing, ...], roof: str,
             eaves: float | None = None) -> Building:  # fmt: skip
    main = wings[0]
    side = float(rng.choice([-1, 1]))
    fixtures: list[Shape] = []
    if rng.uniform() < 0.6:
        fixtures += _box(main, rng.uniform(-0.25, 0.25) * main.length, side * 0.12 * main.width, 0.9, 0.9,
                         vary(rng, (138, 116, 104, 5)))  # a chimney  # fmt: skip
    if rng.uniform() < 0.15 and roof == "gable" and len(wings) == 1:
        fixtures += _solar_panels(main, -side)
    elif rng.uniform() < 0.4 and len(wings) == 1:
        spots = np.linspace(-0.2, 0.2, int(rng.integers(2, 4))) * main.length
        fixtures += [_on(main, at, -side * 0.24 * main.width, 0.9, 1.2, GLASS) for at in spots]
    height = rng.uniform(2.8, 5) if eaves is None else eaves
    return Building(wings, roof, rng.uniform(0.5, 0.85), height, paint, tuple(fixtures))


def _solar_panels(wing: Wing, side: float) -> list[Shape]:
    length, width = 0.6 * wing.length, 0.3 * wing.width
    middle = side * 0.26 * wing.width
    columns = np.arange(-length / 2, length / 2, 1.2)
    panel = _on(wing, 0, middle, length, width, (40, 50, 78, 5))
    return [panel] + [_on(wing, at, middle, 0.2, width, (96, 104, 124, 5)) for at in columns[1:]]


def _box(wing: Wing, along: float, across: float, length: float, width: float, top: Paint) -> list[Shape]:
    """A box on a roof: a dark rim for its sides and shadow, then its top."""
    rim = _on(wing, along + 0.25, across + 0.25, length + 0.5, width + 0.5, (78, 76, 76, 5))
    return [rim, _on(wing, along, across, length, width, top)]


def _on(wing: Wing, along: float, across: float, length: float, width: float, paint: Paint) -> Shape:
    x, y = rotation(wing.angle) @ [along, across] + [wing.x, wing.y]
    return Shape(rectangle(x, y, length, width, wing.angle), paint)
