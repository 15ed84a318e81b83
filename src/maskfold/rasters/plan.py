"""Where the tiles of a raster are, and which of them belong together."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from maskfold.inference.grid import window_starts
from maskfold.rasters.resampling import Size, Window


@dataclass(frozen=True)
class Tile:
    """One tile.

    Attributes:
        scene: name of its raster.
        block: name of its part of the raster. Tiles of two blocks share no pixel.
        top, left, height, width: in pixels of the raster at the tiles' scale.
    """

    scene: str
    block: str
    top: int
    left: int
    height: int
    width: int

    @property
    def id(self) -> str:
        """Scene and first pixel."""
        return f"{self.scene}_{self.top}_{self.left}"

    @property
    def window(self) -> Window:
        """Its rows and columns."""
        return slice(self.top, self.top + self.height), slice(self.left, self.left + self.width)


def plan_tiles(scene: str, size: Size, *, side: int, overlap: float, block: int) -> Iterator[list[Tile]]:
    """The tiles of a raster, a row of them at a time from the top.

    Tiles are ``side`` x ``side`` pixels; where the raster is smaller they have its size. Within a block they overlap by
    the share ``overlap`` of their side, or a little more so that the last one ends at the block's border.

    Args:
        scene: name of the raster.
        size: (H, W) at the tiles' scale.
        side: of a tile in pixels.
        overlap: least overlap of neighbours, share of the side.
        block: about so many tiles a side are a block; 0: the whole raster is one.
    """
    rows, columns = (_axis(length, side, overlap, block) for length in size)
    for above, tops, height in rows:
        for top in tops:
            yield [
                Tile(scene, f"{scene}_{above}_{beside}", top, left, height, width)
                for beside, lefts, width in columns
                for left in lefts
            ]


def _axis(length: int, side: int, overlap: float, block: int) -> list[tuple[int, list[int], int]]:
    """(number of the block, first pixels of its tiles, their length) along one axis."""
    edges = [0, length] if block == 0 else _edges(length, side, int(side + (block - 1) * side * (1 - overlap)))
    return [
        (number, [start + place for place in window_starts(stop - start, side, overlap)], min(side, stop - start))
        for number, (start, stop) in enumerate(pairwise(edges))
    ]


def _edges(length: int, side: int, span: int) -> list[int]:
    """Where blocks of ``span`` pixels begin, and the end; what is left is a smaller block, or part of the last one."""
    count = max(1, length // span)
    begins = [span * number for number in range(count)]
    if length - span * count >= side:
        begins.append(span * count)
    return [*begins, length]
