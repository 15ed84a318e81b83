"""Parked cars and sports grounds: rectangles with lines and edges that are not roofs."""

from itertools import pairwise

import numpy as np

from maskfold.demo.block import Block
from maskfold.demo.palette import CARS, GLASS, WHITE, Paint, darker, pick, vary
from maskfold.demo.scene import Shape, rectangle

STALL = 2.8  # metres


def parking(lot: Block) -> None:
    """Stalls of 2.8 x 5 metres in double rows with an aisle between, most of them occupied."""
    for v in np.arange(lot.v0 + 2.5, lot.v1 - 2.5, 16):
        for row in (v, v + 11):
            if row > lot.v1 - 2.5:
                continue
            for u in np.arange(lot.u0, lot.u1, STALL):
                lot.slab(u, row, 0.18, 5, WHITE)
                if u + STALL < lot.u1 and lot.rng.uniform() < 0.65:
                    car(lot, u + STALL / 2, row, along_u=False)


def car(block: Block, u: float, v: float, along_u: bool) -> None:
    """A car of about 4.4 x 1.8 metres: shadow, body, glass, roof."""
    x, y, heading = block.spot(u, v)
    angle = heading + (0 if along_u else np.pi / 2) + block.rng.normal(0, 0.03)
    paint = pick(block.rng, CARS, 0.05)
    length = block.rng.uniform(4, 4.7)
    shade_x, shade_y = block.scene.shadow * 0.8
    block.scene.ground.extend([
        Shape(rectangle(x + shade_x, y + shade_y, length, 1.8, angle), (40, 42, 48, 5)),
        Shape(rectangle(x, y, length, 1.8, angle), paint),
        Shape(rectangle(x, y, 0.58 * length, 1.6, angle), GLASS),
        Shape(rectangle(x, y, 0.34 * length, 1.5, angle), paint),
    ])  # fmt: skip


def pitch(lot: Block) -> None:
    """A mown football pitch with its outline, half-way line, circle and boxes."""
    u, v = (lot.u0 + lot.u1) / 2, (lot.v0 + lot.v1) / 2
    wide, long = lot.u1 - lot.u0, lot.v1 - lot.v0
    if long < 20:
        return
    grass = vary(lot.rng, (88, 132, 66, 50))
    stripes = np.linspace(lot.v0, lot.v1, 9)
    for i, (low, high) in enumerate(pairwise(stripes)):
        lot.within(lot.u0, lot.u1, low, high).cover(darker(grass, 0.92) if i % 2 else grass)
    turn = np.linspace(0, 2 * np.pi, 25)
    circle = np.stack([u + 5 * np.cos(turn), v + 5 * np.sin(turn)], axis=1)
    outlines = [(wide - 2, long - 2, v), (wide / 2, 7, lot.v0 + 4.5), (wide / 2, 7, lot.v1 - 4.5)]
    for du, dv, at in outlines:
        outline = lot.streets.patch(u - du / 2, u + du / 2, at - dv / 2, at + dv / 2)
        lot.scene.ground.append(Shape(outline, WHITE, 0.3))
    lot.scene.ground.append(Shape(lot.streets.patch(lot.u0 + 1, lot.u1 - 1, v, v), WHITE, 0.3))
    lot.scene.ground.append(Shape(lot.streets.place(circle), WHITE, 0.3))


def court(block: Block, u: float, v: float, paint: Paint) -> None:
    """A tennis court of 8.2 x 19 metres with its surround."""
    block.slab(u, v, 14, 20.5, darker(paint, 0.8))
    block.slab(u, v, 9, 17, paint)
    for at in (-4.4, -3.2, 3.2, 4.4):
        block.slab(u + at, v, 0.25, 17, WHITE)
    for at in (-8.4, -4.4, 0, 4.4, 8.4):
        block.slab(u, v + at, 9, 0.25, WHITE)
