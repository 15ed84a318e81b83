"""Stacking as a choice of tuning: what is fitted without a part's images is what that part is scored under."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from maskfold.competitions import Competition
from maskfold.ensembling.crossfit import Part
from maskfold.ensembling.oof import OofImage, run_maps
from maskfold.ensembling.settings import Setting
from maskfold.ensembling.stacking import Pixels, fit_stack, most_pixels, pixels_of
from maskfold.progress import progress


@dataclass
class Stacking:
    """The options of a `Coordinate`: a stack fitted to the images of all other parts.

    Attributes:
        images: out-of-fold images.
        parts: (n,) part of each.
        competition: theirs.
    """

    images: Sequence[OofImage]
    parts: np.ndarray
    competition: Competition
    _pixels: dict[object, list[Pixels]] = field(default_factory=dict)

    def __call__(self, now: Setting, part: Part) -> list[Setting]:
        """``now`` with the stack in the place of its weights.

        The runs weigh the same for what is not stacked, their presence.
        """
        runs = len(now.checkpoints)
        now = replace(now, weights=(1 / runs,) * runs)
        key = now.checkpoints, now.views
        if key not in self._pixels:
            self._pixels[key] = self._read(now)
        used = [own for own, of in zip(self._pixels[key], self.parts, strict=True) if part is None or of != part]
        return [replace(now, stack=fit_stack(used, self.competition.labels))] if used else []

    def _read(self, setting: Setting) -> list[Pixels]:
        most, labels = most_pixels(len(self.images)), self.competition.labels
        found = []
        for seed, image in enumerate(progress(self.images, "stacking: pixels", total=len(self.images))):
            maps = run_maps(image.read, setting.checkpoints, views=setting.views)
            found.append(pixels_of(maps, image.truth(self.competition), labels, most=most, seed=seed))
        return found
