from itertools import chain, combinations, pairwise

import numpy as np
import pytest

from maskfold.rasters.plan import plan_tiles


def tiles(size, **options):
    return list(chain.from_iterable(plan_tiles("s", size, **options)))


@pytest.mark.parametrize("size", [(64, 64), (65, 300), (30, 200), (201, 333), (10, 9)])
@pytest.mark.parametrize("overlap", [0.0, 0.3])
@pytest.mark.parametrize("block", [0, 1, 2, 5])
def test_tiles_cover_the_raster_and_are_inside_it(size, overlap, block):
    covered = np.zeros(size, int)
    for tile in tiles(size, side=32, overlap=overlap, block=block):
        assert (tile.height, tile.width) == (min(32, size[0]), min(32, size[1]))
        assert covered[tile.window].shape == (tile.height, tile.width)
        covered[tile.window] += 1
    assert covered.min() == 1


@pytest.mark.parametrize("overlap", [0.0, 0.4])
def test_tiles_of_two_blocks_share_no_pixel(overlap):
    found = tiles((201, 333), side=32, overlap=overlap, block=2)
    assert len({tile.block for tile in found}) > 8
    assert len({tile.id for tile in found}) == len(found)
    for one, other in combinations(found, 2):
        apart = (
            one.top + one.height <= other.top
            or other.top + other.height <= one.top
            or one.left + one.width <= other.left
            or other.left + other.width <= one.left
        )
        assert apart or one.block == other.block


def test_neighbours_in_a_block_overlap_by_the_share_or_more():
    lefts = sorted({tile.left for tile in tiles((32, 333), side=32, overlap=0.25, block=0)})
    assert all(0 < right - left <= 24 for left, right in pairwise(lefts))
    assert lefts[-1] + 32 == 333


def test_rows_of_tiles_come_from_the_top():
    rows = list(plan_tiles("s", (100, 70), side=32, overlap=0, block=2))
    assert [{tile.top for tile in row} for row in rows] == [{0}, {32}, {64}, {68}]
    assert [tile.left for tile in rows[0]] == [0, 19, 38]
