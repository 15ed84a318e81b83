"""Test-time views: what is done to an image before the network, and undone to the logits behind it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor

from maskfold.config import TTAConfig
from maskfold.errors import ConfigError
from maskfold.resizing import scaled_size
from maskfold.symmetries import D4, Symmetry

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


SYMMETRIES = {"none": D4[:1], "hflip": D4[:2], "flips": D4[:4], "d4": D4}


def build_views(name: str, scales: Sequence[float] = (1.0,)) -> tuple[View, ...]:
    """Every symmetry of the set ``name`` (none, hflip, flips, d4) at every scale.

    Raises:
        ConfigError: unknown set, no scales, or a scale that is not positive.
    """
    if name not in SYMMETRIES:
        raise ConfigError(f"there are no views {name}: known are {', '.join(SYMMETRIES)}")
    if not scales or min(scales) <= 0:
        raise ConfigError(f"the views' scales are {list(scales)}: give at least one, all above 0")
    return tuple(_view(symmetry, scale) for scale in scales for symmetry in SYMMETRIES[name])


def weighted_views(tta: TTAConfig) -> list[tuple[View, float]]:
    """The views of a config that weigh something, and their weights, of which the mean is 1.

    Raises:
        ConfigError: as `build_views`; another number of weights than of views, or all 0.
    """
    views = build_views(tta.views, tta.scales)
    if tta.view_weights is None:
        return [(view, 1.0) for view in views]
    total = sum(tta.view_weights)
    if len(tta.view_weights) != len(views) or total <= 0:
        raise ConfigError(
            f"tta.view_weights is {list(tta.view_weights)}, and there are {len(views)} views, "
            f"{', '.join(view.name for view in views)}: give one weight for each, not all 0"
        )
    kept = [(view, weight) for view, weight in zip(views, tta.view_weights, strict=True) if weight > 0]
    return [(view, weight * len(kept) / total) for view, weight in kept]


def turns_around(tta: TTAConfig) -> bool:
    """Whether each view has its half-turn, of the same weight, so that an offset in one undoes the other's."""
    return tta.view_weights is None and D4[3] in SYMMETRIES[tta.views]


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
        lambda images: symmetry.apply(resize(images, scaled_size((images.shape[-2], images.shape[-1]), scale))),
        lambda maps, size: resize(symmetry.undo(maps), size),
    )
