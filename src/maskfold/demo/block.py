"""A block between streets, in street coordinates: where land uses paint, build and plant."""

from dataclasses import dataclass

import numpy as np

from maskfold.demo.palette import Paint, pick
from maskfold.demo.scene import Scene, Shape, Tree, Wing, rectangle
from maskfold.demo.streets import Streets


@dataclass(frozen=True)
class Block:
    """A rectangle in street coordinates (metres), and the scene that what is built on it goes to."""

    rng: np.random.Generator
    scene: Scene
    streets: Streets
    u0: float
    u1: float
    v0: float
    v1: float

    def within(self, u0: float, u1: float, v0: float, v1: float) -> "Block":
        """A smaller block of the same scene."""
        return Block(self.rng, self.scene, self.streets, u0, u1, v0, v1)

    def inner(self, margin: float) -> "Block":
        """The same block without a margin of some metres all round."""
        return self.within(self.u0 + margin, self.u1 - margin, self.v0 + margin, self.v1 - margin)

    def cover(self, paint: Paint) -> None:
        """Paint the whole block."""
        self.scene.ground.append(Shape(self.streets.patch(self.u0, self.u1, self.v0, self.v1), paint))

    def spot(self, u: float, v: float) -> tuple[float, float, float]:
        """x, y in metres, and the heading there in radians."""
        x, y = self.streets.place(np.array([u, v])).tolist()
        return x, y, self.streets.heading(u, v)

    def slab(self, u: float, v: float, du: float, dv: float, paint: Paint) -> None:
        """Paint a straight-sided rectangle of du x dv metres around (u, v)."""
        x, y, heading = self.spot(u, v)
        self.scene.ground.append(Shape(rectangle(x, y, du, dv, heading), paint))

    def wing(self, u: float, v: float, du: float, dv: float) -> Wing:
        """A wing of du x dv metres around (u, v), its ridge along the longer side."""
        x, y, heading = self.spot(u, v)
        return Wing(x, y, du, dv, heading) if du > dv else Wing(x, y, dv, du, heading + np.pi / 2)

    def tree(self, u: float, v: float, radius: float) -> None:
        """Plant a tree."""
        x, y, _ = self.spot(u, v)
        self.scene.trees.append(Tree(x, y, radius, pick(self.rng, self.scene.palette.foliage, 0.08)))

    def scatter_trees(self, per_hectare: float, least: float = 1.5, most: float = 4.0) -> None:
        """Plant trees with radii from `least` to `most` metres anywhere on the block."""
        area = (self.u1 - self.u0) * (self.v1 - self.v0)
        for _ in range(int(self.rng.poisson(per_hectare * area / 10_000))):
            u, v = self.rng.uniform((self.u0, self.v0), (self.u1, self.v1))
            self.tree(u, v, self.rng.uniform(least, most))
