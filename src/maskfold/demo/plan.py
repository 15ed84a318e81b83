"""The layout of one scene: streets, a town that ends somewhere, and a land use for every block."""

import numpy as np

from maskfold.demo.block import Block
from maskfold.demo.land import LAND_USES
from maskfold.demo.palette import make_palette
from maskfold.demo.roofs import covers
from maskfold.demo.scene import Scene, Tree
from maskfold.demo.streets import PAVEMENT, Streets, draw_streets, plan_streets

TOWN = {"houses": 0.54, "flats": 0.17, "works": 0.16, "car_park": 0.04, "sports": 0.05, "park": 0.04}
COUNTRY = {"field": 0.5, "wood": 0.25, "meadow": 0.25}
TOWN_SHARE = 0.74  # of the blocks


def plan_scene(rng: np.random.Generator, width: float, height: float) -> Scene:
    """Lay out a scene of `width` x `height` metres; what crosses its edges is cut there."""
    streets = plan_streets(rng, width, height)
    scene = Scene(width, height, _sun(rng), make_palette(rng))
    built = _town(rng, streets, np.hypot(width, height))
    mix = rng.dirichlet(9 * np.array(list(TOWN.values())))  # every town has its own character
    for (i, j), in_town in np.ndenumerate(built):
        uses, shares = (list(TOWN), mix) if in_town else (list(COUNTRY), list(COUNTRY.values()))
        block = _block(rng, scene, streets, i, j, in_town)
        if _visible(block):
            LAND_USES[str(rng.choice(uses, p=shares))](block)
    scene.trees = _off_roofs(scene)
    scene.ground += draw_streets(rng, streets, built, scene.palette)
    return scene


def _sun(rng: np.random.Generator) -> np.ndarray:
    """A sun between 38 and 58 degrees high, in the southern half of the sky (y points down: south)."""
    height, bearing = np.radians(rng.uniform(38, 58)), np.radians(rng.uniform(20, 160))
    return np.array([np.cos(height) * np.cos(bearing), np.cos(height) * np.sin(bearing), np.sin(height)])


def _town(rng: np.random.Generator, streets: Streets, diameter: float) -> np.ndarray:
    """bool (blocks across, blocks down): the blocks on the town's side of a straight edge of town."""
    u = (streets.across[:-1] + streets.across[1:]) / 2
    v = (streets.down[:-1] + streets.down[1:]) / 2
    bearing = rng.uniform(0, 2 * np.pi)
    beyond = u[:, None] * np.cos(bearing) + v[None, :] * np.sin(bearing)
    near = np.abs(beyond) < diameter  # blocks far outside the scene must not shift the quantile
    inside = (np.hypot(u[:, None], v[None, :]) < diameter / 2) & near
    share = np.clip(rng.normal(TOWN_SHARE, 0.1), 0.5, 0.95)
    return beyond <= np.quantile(beyond[inside] if inside.any() else beyond, share)


def _block(rng: np.random.Generator, scene: Scene, streets: Streets, i: int, j: int, in_town: bool) -> Block:
    """Block (i, j), inside its pavements in town, up to the middle of the (absent) streets elsewhere."""
    along, beside = streets.widths
    margin = PAVEMENT - 0.2 if in_town else 0.0
    half_u = along[i : i + 2] / 2 * in_town + margin
    half_v = beside[j : j + 2] / 2 * in_town + margin
    return Block(
        rng, scene, streets,
        streets.across[i] + half_u[0], streets.across[i + 1] - half_u[1],
        streets.down[j] + half_v[0], streets.down[j + 1] - half_v[1],
    )  # fmt: skip


def _visible(block: Block) -> bool:
    """Whether any of a block, with the shadows it may throw, is in the scene."""
    outline = block.streets.patch(block.u0, block.u1, block.v0, block.v1)
    low, high = outline.min(axis=0) - 20, outline.max(axis=0) + 20
    return bool((high > 0).all() and (low < [block.scene.width, block.scene.height]).all())


def _off_roofs(scene: Scene) -> list[Tree]:
    """The trees that stand beside the buildings, not in them; their crowns may hang over a roof."""
    x, y = np.array([(tree.x, tree.y) for tree in scene.trees]).reshape(-1, 2).T
    inside = np.zeros(len(x), bool)
    for building in scene.buildings:
        for wing in building.wings:
            inside |= covers(wing, x, y)
    return [tree for tree, drop in zip(scene.trees, inside, strict=True) if not drop]
