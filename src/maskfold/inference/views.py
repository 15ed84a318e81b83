"""Test-time views: what is done to an image before the network, and undone to the logits behind it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor

Size = tuple[int, int]


@dataclass(frozen=True)
class View:
    """``forward(images (N, 3, H, W)) -> images``; ``inverse(maps (N, C, h, w), (H, W)) -> maps (N, C, H, W)``.

    Only the last two axes are touched. Without scaling, ``inverse`` undoes ``forward`` exactly; a scaled
    view resizes bilinearly to ``round(scale * H)`` x ``round(scale * W)`` and back to exactly H x W.
    """

    name: str
    forward: Callable[[Tensor], Tensor]
    inverse: Callable[[Tensor, Size], Tensor]


@dataclass(frozen=True)
class Symmetry:
    """An element of the square's symmetry group: an optional transposition, then flips of axes."""

    name: str
    transposed: bool
    flipped: tuple[int, ...]

    def apply(self, images: Tensor) -> Tensor:
        """Transpose, then flip."""
        return (images.transpose(-1, -2) if self.transposed else images).flip(self.flipped)

    def undo(self, maps: Tensor) -> Tensor:
        """Flip, then transpose: each is its own inverse."""
        maps = maps.flip(self.flipped)
        return maps.transpose(-1, -2) if self.transposed else maps


D4 = (
    Symmetry("identity", False, ()),
    Symmetry("horizontal", False, (-1,)),
    Symmetry("vertical", False, (-2,)),
    Symmetry("both", False, (-2, -1)),
    Symmetry("transpose", True, ()),
    Symmetry("rotate_right", True, (-1,)),
    Symmetry("rotate_left", True, (-2,)),
    Symmetry("antitranspose", True, (-2, -1)),
)
SYMMETRIES = {"none": D4[:1], "flips": D4[:4], "d4": D4}


def build_views(name: str, scales: Sequence[float] = (1.0,)) -> tuple[View, ...]:
    """Every symmetry of the set ``name`` (none, flips, d4) at every scale.

    Raises:
        ValueError: unknown set, no scales, or a scale that is not positive.
    """
    if name not in SYMMETRIES:
        raise ValueError(f"there are no views {name}: known are {', '.join(SYMMETRIES)}")
    if not scales or min(scales) <= 0:
        raise ValueError(f"the views' scales are {list(scales)}: give at least one, all above 0")
    return tuple(_view(symmetry, scale) for scale in scales for symmetry in SYMMETRIES[name])


def resize(maps: Tensor, size: Size) -> Tensor:
    """Bilinear, float, (N, C, H, W) -> (N, C, *size); smoothed where it shrinks, so that no pixel is skipped."""
    if tuple(maps.shape[-2:]) == tuple(size):
        return maps
    return F.interpolate(maps.float(), size=tuple(size), mode="bilinear", antialias=True)


def _view(symmetry: Symmetry, scale: float) -> View:
    if scale == 1:
        return View(symmetry.name, symmetry.apply, lambda maps, size: symmetry.undo(maps))
    return View(
        f"{symmetry.name}_x{scale:g}",
        lambda images: symmetry.apply(resize(images, _scaled(images, scale))),
        lambda maps, size: resize(symmetry.undo(maps), size),
    )


def _scaled(images: Tensor, scale: float) -> Size:
    height, width = images.shape[-2:]
    return max(1, round(scale * height)), max(1, round(scale * width))
