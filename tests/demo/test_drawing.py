"""The drawn geometry: masks, roofs, shadows and streets against sums done by hand."""

import numpy as np
import pytest

from maskfold.demo.draw import draw_scene
from maskfold.demo.palette import make_palette
from maskfold.demo.plan import plan_scene
from maskfold.demo.roofs import roof_surface, shadow_outlines
from maskfold.demo.scene import Building, Scene, Tree, Wing
from maskfold.demo.streets import plan_streets

SUN = np.array([0.6, 0.0, 0.8])  # in the east; the shadow of one metre falls 0.75 m to the west
BLUE = (30, 50, 220, 10)


def scene_with(*buildings: Building, trees: tuple[Tree, ...] = ()) -> Scene:
    palette = make_palette(np.random.default_rng(1))
    return Scene(40.0, 24.0, SUN, palette, buildings=list(buildings), trees=list(trees))


def drawn(scene: Scene) -> tuple[np.ndarray, np.ndarray]:
    return draw_scene(np.random.default_rng(2), scene, 5.0)


def block(roof: str = "flat", pitch: float = 0.0, **wing: float) -> Building:
    shape = {"x": 22.0, "y": 11.0, "length": 14.0, "width": 8.0, "angle": 0.0} | wing
    return Building((Wing(**shape),), roof, pitch, 3.0, BLUE)


def test_mask_is_the_footprint_to_the_pixel():
    _, mask = drawn(scene_with(block()))
    expected = np.zeros((120, 200), np.uint8)
    expected[35:75, 75:145] = 1  # y 7..15 m, x 15..29 m at 5 pixels per metre
    assert mask.dtype == np.uint8
    np.testing.assert_array_equal(mask, expected)


@pytest.mark.parametrize("angle", [0.3, 1.2, 2.9])
def test_turned_mask_keeps_area_and_place(angle):
    _, mask = drawn(scene_with(block(angle=angle)))
    y, x = np.nonzero(mask)
    assert float(mask.sum()) == pytest.approx(14 * 8 * 25, rel=0.02)  # pixels half covered count
    assert (x.mean() + 0.5) / 5 == pytest.approx(22, abs=0.05)
    assert (y.mean() + 0.5) / 5 == pytest.approx(11, abs=0.05)
    # The longest axis points along the angle (modulo half a turn).
    along = np.linalg.eigh(np.cov(x, y))[1][:, 1]
    assert abs(along @ [np.cos(angle), np.sin(angle)]) == pytest.approx(1, abs=1e-3)


def test_building_across_the_edge_is_cut_there():
    _, mask = drawn(scene_with(block(x=39.0, y=1.0)))
    assert mask[:25, 160:].all()  # x 32..46 m, y -3..5 m
    assert mask.sum() == 25 * 40


def test_neighbours_in_each_others_bounding_boxes_are_both_whole():
    angle = np.pi / 4
    pair = [block(angle=angle), block(x=22 - 6.5, y=11 + 6.5, angle=angle)]  # 1.2 m apart, side by side
    alone = [drawn(scene_with(building))[1] for building in pair]
    assert not (alone[0] & alone[1]).any()
    np.testing.assert_array_equal(drawn(scene_with(*pair))[1], alone[0] | alone[1])


def test_roof_pixels_are_the_roofs_colour():
    image, mask = drawn(scene_with(block(angle=0.4)))
    blue = image[..., 2].astype(int) > image[..., 0].astype(int) + 40
    agree = 2 * (blue & (mask == 1)).sum() / (blue.sum() + mask.sum())
    assert agree > 0.97


def test_tree_hides_roof_but_not_truth():
    tree = Tree(22.0, 11.0, 3.0, (60, 90, 40, 50))
    bare, without = drawn(scene_with(block()))
    leafy, mask = drawn(scene_with(block(), trees=(tree,)))
    np.testing.assert_array_equal(mask, without)
    assert bare[55, 110, 2] > 150
    assert leafy[50:60, 105:115, 2].mean() < 110


def test_ground_is_dark_on_the_side_away_from_the_sun():
    image, _ = drawn(scene_with(block()))
    west, east = image[45:65, 66:73].mean(), image[45:65, 148:155].mean()
    far_west = image[45:65, 40:60].mean()
    assert west < 0.65 * east
    assert far_west > 0.8 * east


def test_shadow_reaches_as_far_as_the_sun_says():
    flat, gable = block(), block("gable", 0.5)
    fall = scene_with().shadow
    np.testing.assert_allclose(fall, [-0.75, 0])
    [outline] = shadow_outlines(flat, fall)
    assert outline[:, 0].min() == pytest.approx(15 - 3 * 0.75, abs=0.1)
    [outline] = shadow_outlines(gable, fall)
    assert outline[:, 0].min() == pytest.approx(15 - (3 + 0.5 * 4) * 0.75, abs=0.1)


@pytest.mark.parametrize(("angle", "brighter"), [(np.pi / 2, "east"), (0.0, None)])
def test_gable_is_brighter_towards_the_sun(angle, brighter):
    building = block("gable", 0.6, x=0.0, y=0.0, angle=angle)
    x, y = np.linspace(-3, 3, 301)[None, :], np.linspace(-3, 3, 301)[:, None]
    surface = roof_surface(building, x, y, SUN)
    assert surface.covered.all()
    west, east = surface.shade[:, :140].mean(), surface.shade[:, -140:].mean()
    if brighter:  # the ridge runs north to south
        assert east > 1.3 * west
    else:
        assert east == pytest.approx(west, rel=0.01)


def test_where_wings_meet_the_higher_shows():
    """Of a cross of a broad and a narrow gable the middle belongs to the broad one's ridge."""
    broad = Wing(0, 0, 20, 10, 0.0)
    narrow = Wing(0, 4, 12, 4, np.pi / 2)
    both = Building((broad, narrow), "gable", 0.5, 3, BLUE)
    alone = {wing: Building((wing,), "gable", 0.5, 3, BLUE) for wing in (broad, narrow)}
    x, y = np.array([[0.9]]), np.array([[1.0], [4.5], [8.0]])
    shades = roof_surface(both, x, y, SUN).shade[:, 0]
    # At y = 1 m the broad roof rises 4 m inwards, the narrow one 1.1 m; at 4.5 m it is 0.5 against 1.1.
    assert shades[0] == roof_surface(alone[broad], x, y, SUN).shade[0, 0]
    np.testing.assert_array_equal(shades[1:], roof_surface(alone[narrow], x, y, SUN).shade[1:, 0])
    assert shades[1] != roof_surface(alone[broad], x, y, SUN).shade[1, 0]


def test_heading_follows_the_streets():
    streets = plan_streets(np.random.default_rng(4), 300, 200)
    for u, v in [(-80.0, 20.0), (10.0, 90.0), (140.0, -60.0)]:
        step = streets.place(np.array([u + 0.01, v])) - streets.place(np.array([u, v]))
        heading = streets.heading(u, v)
        assert step @ [np.cos(heading), np.sin(heading)] == pytest.approx(np.linalg.norm(step), rel=1e-4)


@pytest.mark.parametrize("seed", range(4))
def test_streets_reach_every_corner_of_a_scene(seed):
    width, height = 320.0, 160.0
    streets = plan_streets(np.random.default_rng(seed), width, height)
    outline = streets.patch(streets.across[0], streets.across[-1], streets.down[0], streets.down[-1])
    x, y = (outline - [width / 2, height / 2]).T
    assert np.hypot(x, y).min() > np.hypot(width, height) / 2


def test_no_tree_stands_in_a_building():
    scene = plan_scene(np.random.default_rng(8), 160, 160)
    assert len(scene.buildings) > 10
    x, y = np.array([(tree.x, tree.y) for tree in scene.trees]).T
    for wing in (wing for building in scene.buildings for wing in building.wings):
        turn = np.exp(-1j * wing.angle) * (x + 1j * y - complex(wing.x, wing.y))
        assert not ((np.abs(turn.real) < wing.length / 2) & (np.abs(turn.imag) < wing.width / 2)).any()


def test_scenes_differ_in_their_colours():
    grass = np.array([make_palette(np.random.default_rng(seed)).grass[:3] for seed in range(30)])
    assert grass.std(axis=0).min() > 5
