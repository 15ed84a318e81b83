"""Training images made of several: mixup, CutMix, pasted objects, mosaics.

What is mixed are augmented crops and their labels, before targets are made of them, so that every loss sees the label
of what it sees. Which images are mixed, and how, is a function of (seed, epoch, index, repeat).
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from maskfold.config import MixConfig
from maskfold.instances import components
from maskfold.labels import Label, LabelSpec

if TYPE_CHECKING:
    from maskfold.datasets.dataset import Draw

LEAST = 0.01  # share of the foreground from which a pixel of a soft label belongs to an object


class Crop(NamedTuple):
    """An augmented image (h, w, C) and its label."""

    image: np.ndarray
    label: Label


class Mixing:
    """Mixes a share of the crops with crops of other images; it can be pickled, and has no state.

    - ``mixup``: a weighted mean of two images and of their labels, the weight drawn from Beta(alpha, alpha); pixels
      count that do in both (Zhang, Cisse, Dauphin & Lopez-Paz, ICLR 2018).
    - ``cutmix``: a rectangle of another crop, of which a share 1 - Beta(alpha, alpha) of the area is drawn, and what is
      outside of the crop is cut off (Yun et al., ICCV 2019).
    - ``copy_paste``: half of another crop's objects with their masks, at their places (Ghiasi et al., CVPR 2021, whose
      scale jitter is the augmentation's affair).
    - ``mosaic``: four crops, each keeps its quarter around a random centre (Bochkovskiy, Wang & Liao, arXiv 2004.10934,
      at one scale).
    """

    def __init__(self, config: MixConfig, labels: LabelSpec, seed: int) -> None:
        self.config, self.labels, self.seed = config, labels, seed

    @property
    def soft(self) -> bool:
        """Whether mixed labels are shares of classes."""
        return self.config.recipe == "mixup"

    def __call__(self, draw: "Draw", count: int, crop: Crop, load: Callable[["Draw", int], Crop]) -> Crop:
        """The crop, mixed or as it is.

        Args:
            draw: epoch, place and repeat of the crop.
            count: number of images to mix with.
            crop: of that draw.
            load: the crop of another draw, by the seed of its augmentation; of the same size and type.
        """
        rng = np.random.default_rng([self.seed, *draw, 2])  # the last number tells it from other streams
        if rng.random() >= self.config.share:
            return crop
        recipe, others = RECIPES[self.config.recipe]
        loaded = [load(draw._replace(index=int(rng.integers(count))), int(rng.integers(2**63))) for _ in range(others)]
        return recipe(self, rng, crop, *loaded)

    def mixup(self, rng: np.random.Generator, crop: Crop, other: Crop) -> Crop:
        weight = rng.beta(self.config.strength, self.config.strength)
        dtype = crop.image.dtype
        image = np.float32(weight) * crop.image + np.float32(1 - weight) * other.image
        image = np.rint(image) if dtype.kind == "u" else image
        valid = crop.label.valid & other.label.valid
        values = weight * self.labels.shares(crop.label) + (1 - weight) * self.labels.shares(other.label)
        return Crop(image.astype(dtype), Label(np.where(valid, values, 0).astype(np.float32), valid))

    def cutmix(self, rng: np.random.Generator, crop: Crop, other: Crop) -> Crop:
        sides = np.array(crop.label.valid.shape)
        half = sides * np.sqrt(1 - rng.beta(self.config.strength, self.config.strength)) / 2
        centre = rng.uniform(0, sides)
        (top, left), (bottom, right) = (
            np.rint(edge).clip(0, sides).astype(int) for edge in (centre - half, centre + half)
        )
        region = np.zeros(sides, bool)
        region[top:bottom, left:right] = True
        return self._pasted(crop, other, region)

    def copy_paste(self, rng: np.random.Generator, crop: Crop, other: Crop) -> Crop:
        label = other.label
        objects = components(self._foreground(label)) if label.instances is None else label.instances
        chosen = rng.random(int(objects.max()) + 1) < 0.5
        chosen[0] = False
        return self._pasted(crop, other, chosen[objects] & label.valid)

    def mosaic(self, rng: np.random.Generator, crop: Crop, *others: Crop) -> Crop:
        sides = np.array(crop.label.valid.shape)
        row, column = np.rint(rng.uniform(sides / 4, 3 * sides / 4)).astype(int)
        for other, part in zip(others, (np.s_[:row, column:], np.s_[row:, :column], np.s_[row:, column:]), strict=True):
            region = np.zeros(sides, bool)
            region[part] = True
            crop = self._pasted(crop, other, region)
        return crop

    def _foreground(self, label: Label) -> np.ndarray:
        if not label.soft:
            return self.labels.foreground(label.values)
        shares = label.values
        return (1 - shares[0] if self.labels.exclusive else shares.max(0)) > LEAST

    def _pasted(self, under: Crop, over: Crop, region: np.ndarray) -> Crop:
        """``under`` with the ``region``, bool (h, w), of ``over``."""
        first, second = under.label, over.label
        if first.soft or second.soft:
            first, second = (replace(label, values=self.labels.shares(label)) for label in (first, second))
        instances = None
        if first.instances is not None and second.instances is not None:
            moved = np.where(second.instances > 0, second.instances + first.instances.max(), 0)
            instances = np.where(region, moved, first.instances).astype(np.int32)
        values, valid = (
            np.where(region, b, a) for a, b in ((first.values, second.values), (first.valid, second.valid))
        )
        return Crop(np.where(region[..., None], over.image, under.image), Label(values, valid, instances))


RECIPES: Mapping[str, tuple[Callable[..., Crop], int]] = {
    "mixup": (Mixing.mixup, 1),
    "cutmix": (Mixing.cutmix, 1),
    "copy_paste": (Mixing.copy_paste, 1),
    "mosaic": (Mixing.mosaic, 3),
}
