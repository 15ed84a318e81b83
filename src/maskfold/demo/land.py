"""What stands on the blocks between the streets: one function per land use, listed in LAND_USES."""

from collections.abc import Callable

import numpy as np

from maskfold.demo import buildings
from maskfold.demo.block import Block
from maskfold.demo.lots import car, court, parking, pitch
from maskfold.demo.palette import COURTS, POOL, darker, pick, vary
from maskfold.demo.scene import Shape, Wing

ROADSIDE = 8.0  # metres from the middle of a country road in which no tree stands


def houses(block: Block) -> None:
    """Two rows of plots back to back, each facing its street."""
    block.cover(vary(block.rng, block.scene.palette.grass))
    middle = (block.u0 + block.u1) / 2
    for front, back in ((block.u0, middle), (block.u1, middle)):
        v = block.v0
        while block.v1 - v > 13:
            end = v + block.rng.uniform(14, 18)
            if block.v1 - end < 13:
                end = block.v1
            _plot(block.within(min(front, back), max(front, back), v, end), faces_up=front > back)
            v = end


def flats(block: Block) -> None:
    """Large buildings on a lawn, with paths and a row of parked cars."""
    rng, palette = block.rng, block.scene.palette
    block.cover(vary(rng, palette.grass))
    middle = (block.u0 + block.u1) / 2
    block.slab(middle, (block.v0 + block.v1) / 2, 5, block.v1 - block.v0, palette.pavement)
    for u, turn in ((block.u0 + 10, -1), (block.u1 - 10, 1)):
        v = block.v0 + 2
        while block.v1 - v > 22:
            length = min(rng.uniform(20, 38), block.v1 - v - 1)
            x, y, heading = block.spot(u, v + length / 2)
            main = Wing(x, y, length, rng.uniform(10, 12.5), heading + turn * np.pi / 2)
            block.scene.buildings.append(buildings.block_of_flats(rng, palette, main, rng.uniform(3, 7)))
            v += length + rng.uniform(5, 9)
    block.scatter_trees(45, 1.5, 3.2)


def works(block: Block) -> None:
    """Halls on a concrete yard, the rest a car park."""
    rng, palette = block.rng, block.scene.palette
    block.cover(vary(rng, palette.concrete if rng.uniform() < 0.25 else palette.asphalt))
    middle = block.v0 + (block.v1 - block.v0) * rng.uniform(0.5, 0.68)
    v = block.v0 + 4
    while middle - v > 14:
        depth = min(rng.uniform(18, 34), middle - v)
        inset = rng.uniform(3, 9, 2)
        u0, u1 = block.u0 + inset[0], block.u1 - inset[1]
        block.scene.buildings.append(
            buildings.hall(rng, palette, block.wing((u0 + u1) / 2, v + depth / 2, u1 - u0, depth))
        )
        v += depth + rng.uniform(5, 9)
    parking(block.within(block.u0 + 3, block.u1 - 3, max(v, middle) + 2, block.v1 - 2))


def car_park(block: Block) -> None:
    """Rows of parked cars on asphalt: what a model may take for small roofs."""
    block.cover(vary(block.rng, block.scene.palette.asphalt))
    parking(block.within(block.u0 + 2, block.u1 - 2, block.v0 + 2, block.v1 - 2))
    for v in np.arange(block.v0 + 4, block.v1, 14):
        block.tree(block.u0 + 1.5, v, block.rng.uniform(1.4, 2.4))


def sports(block: Block) -> None:
    """A mown pitch and tennis courts with their lines, among trees: rectangles that are not roofs."""
    rng, palette = block.rng, block.scene.palette
    block.cover(vary(rng, palette.grass))
    middle = (block.u0 + block.u1) / 2
    wide = min(block.u1 - block.u0 - 8, 40)
    split = block.v0 + 0.58 * (block.v1 - block.v0)
    pitch(block.within(middle - wide / 2, middle + wide / 2, block.v0 + 4, split - 3))
    paint = COURTS[rng.integers(len(COURTS))]
    v = split + 11
    while v + 11 < block.v1:
        for u in (middle - 10, middle + 10):
            court(block, u, v, paint)
        v += 21
    for v in np.arange(block.v0 + 2, block.v1, 5):
        side = rng.choice([block.u0, block.u1])
        block.tree(side + rng.normal(0, 1), v + rng.normal(0, 1), rng.uniform(1.3, 2.8))


def park(block: Block) -> None:
    """A lawn with paths, groups of trees and a paved square."""
    rng, palette = block.rng, block.scene.palette
    block.cover(vary(rng, palette.grass))
    u, v = (block.u0 + block.u1) / 2, (block.v0 + block.v1) / 2
    for corner in ((block.u0, block.v0), (block.u1, block.v1), (block.u1, block.v0)):
        line = block.streets.place(np.linspace(corner, (u, v), 12))
        block.scene.ground.append(Shape(line, vary(rng, palette.pavement), 2.2))
    du, dv = rng.uniform(9, 16, 2)
    block.slab(u, v, du, dv, vary(rng, palette.concrete))
    block.scatter_trees(90, 2, 4.5)


def field(block: Block) -> None:
    """Ploughed or sown land: strips with fine furrows."""
    rng = block.rng
    paint = pick(rng, block.scene.palette.crops, 0.08)
    block.cover(paint)
    dark = darker(paint, 0.88)
    for u in np.arange(block.u0 + 1, block.u1 - 1, rng.uniform(1.8, 4)):
        line = block.streets.patch(u, u, block.v0 + 1, block.v1 - 1)
        block.scene.ground.append(Shape(line, dark, 0.7))


def wood(block: Block) -> None:
    """Trees crown to crown, with a clearing of bare ground."""
    block.cover(vary(block.rng, block.scene.palette.foliage[0]))
    block.inner(ROADSIDE).scatter_trees(420, 2, 4.5)


def meadow(block: Block) -> None:
    """Rough grass, a few bushes, at times a patch of bare ground."""
    rng, palette = block.rng, block.scene.palette
    block.cover(vary(rng, palette.grass, 0.1))
    block.inner(ROADSIDE).scatter_trees(18, 0.8, 3)
    if rng.uniform() < 0.7:
        return
    within = block.inner(10)
    u, v = rng.uniform((within.u0, within.v0), (within.u1, within.v1))
    bare = palette.soil if rng.uniform() < 0.6 else palette.concrete
    du, dv = rng.uniform(8, 18, 2)
    block.slab(u, v, du, dv, vary(rng, bare))


LAND_USES: dict[str, Callable[[Block], None]] = {
    "houses": houses, "flats": flats, "works": works, "car_park": car_park, "sports": sports, "park": park,
    "field": field, "wood": wood, "meadow": meadow,
}  # fmt: skip


def _plot(plot: Block, faces_up: bool) -> None:
    """A garden with a house near the street; at times bare ground or a concrete pad instead."""
    rng, palette = plot.rng, plot.scene.palette
    front, inward = (plot.u1, -1) if faces_up else (plot.u0, 1)
    middle = (plot.v0 + plot.v1) / 2
    depth, breadth = plot.u1 - plot.u0, plot.v1 - plot.v0
    plot.cover(vary(rng, palette.grass, 0.07))
    if rng.uniform() < 0.08:
        ground = vary(rng, palette.soil if rng.uniform() < 0.5 else palette.concrete)
        plot.slab(front + inward * depth * 0.45, middle, 0.5 * depth, 0.6 * breadth, ground)
    else:
        _house_and_garden(plot, front, inward)
    hedge = plot.streets.patch(plot.u0, plot.u1, plot.v1, plot.v1)
    plot.scene.ground.append(Shape(hedge, vary(rng, palette.foliage[0], 0.1), rng.uniform(0.5, 1.3)))


def _house_and_garden(plot: Block, front: float, inward: int) -> None:
    rng, palette = plot.rng, plot.scene.palette
    depth, breadth = plot.u1 - plot.u0, plot.v1 - plot.v0
    setback, width = rng.uniform(2.5, 5), rng.uniform(8.5, 11.5)
    length = min(rng.uniform(11, 16), breadth - 2)
    v = (plot.v0 + plot.v1) / 2 + rng.uniform(-0.5, 0.5) * (breadth - 2 - length)
    u = front + inward * (setback + width / 2)
    edge = plot.v1 - 2 if v < (plot.v0 + plot.v1) / 2 else plot.v0 + 2
    plot.slab(front + inward * setback, edge, 2 * setback, 3, vary(rng, palette.pavement))
    x, y, heading = plot.spot(u, v)
    room = depth - setback - width - 4
    angle = heading - inward * np.pi / 2 + rng.normal(0, 0.04)
    out = min(rng.uniform(3, 6), max(room, 1))
    plot.scene.buildings.append(buildings.house(rng, palette, Wing(x, y, length, width, angle), out))
    back = front + inward * (depth - 3.5)
    if rng.uniform() < 0.4 and room > 7:
        wing = plot.wing(back, edge, 5, rng.uniform(3, 3.6))
        plot.scene.buildings.append(buildings.shed(rng, palette, wing))
    elif rng.uniform() < 0.25 and room > 8:
        plot.slab(back - inward, v, 5.6, 8.6, vary(rng, palette.concrete))
        plot.slab(back - inward, v, 3.6, 6.6, POOL)
    if rng.uniform() < 0.5:
        car(plot, front + inward * 3, edge, along_u=True)
    for _ in range(int(rng.integers(1, 4))):
        plot.tree(back + inward * rng.uniform(-4, 2), rng.uniform(plot.v0, plot.v1), rng.uniform(1.2, 3.2))
    if rng.uniform() < 0.3:
        plot.tree(front + inward * 1.5, rng.uniform(plot.v0, plot.v1), rng.uniform(1.2, 2.2))
