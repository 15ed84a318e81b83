"""Do masks stand beside what the images show? Two witnesses are asked: out-of-fold maps, and the edges of the images.

Drawing tools, resampling and reprojection move all masks of a competition alike, by half a pixel, say (Google Research:
Identify Contrails, 2023: undone, flips and eight views began to help). A network that is trained without flips learns
such an offset, and with flips only the mean of it and of its mirror images. So maps are looked at that are merged of
views of which each has its half-turn: whatever offset ``a`` was learned, an image gives the masks' place but for ``a``
and its half-turn but for ``-a``, and the mean of both stands where the image shows the objects.

The offset of maps is the one at which map and mask agree most: the sum over pixels of (2 y(x) - 1) (2 p(x - d) - 1),
which is linear in the map, and at a straight edge largest at the edge's place, however blurred the map is. But networks
err by a part of a pixel of their own, towards shadows, say, which tell them how an image was turned. The offset of
edges is the one at which images are steepest across the masks' outlines: far more exact, but wrong where something else
always stands beside the objects, such as the shadow under a car. What both say is the masks' doing.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from maskfold.competitions import Competition
from maskfold.config import Config
from maskfold.ensembling.choice import EnsembleChoice
from maskfold.ensembling.oof import OofImage, groups_of
from maskfold.inference.views import turns_around
from maskfold.metrics.bootstrap import Groups
from maskfold.picks import every_nth
from maskfold.progress import progress
from maskfold.resizing import Shift, fit_image
from maskfold.scoring.evaluate import choice_images
from maskfold.scoring.registration import REACH, SIDE, agreement, edge_agreement, register

MOST = 400  # images; more only take time
LEAST = 0.15  # pixels; less is not worth moving anything


@dataclass(frozen=True)
class Offset:
    """By how many pixels masks stand below and right of something.

    Attributes:
        shift: (down, right), in pixels of the images' files.
        low, high: ends of the 99.9 % interval of each.
    """

    shift: Shift
    low: Shift
    high: Shift

    @classmethod
    def of(cls, values: np.ndarray) -> "Offset":
        """What `register` gives: float64 (3, 2)."""
        shift, low, high = ((float(down), float(right)) for down, right in values)
        return cls(shift, low, high)

    def figures(self) -> str:
        """Both with their intervals."""
        each = zip(("down", "right"), self.shift, self.low, self.high, strict=True)
        return ", ".join(f"{value:+.2f} px {way} (99.9 %: {low:+.2f} to {high:+.2f})" for way, value, low, high in each)

    def sides(self) -> tuple[int, int]:
        """Of each direction 1 or -1, where its interval leaves out 0 and it is within reach and matters; else 0."""
        each = zip(self.shift, self.low, self.high, strict=True)
        down, right = (
            int(np.sign(value)) if LEAST <= abs(value) < REACH and (low > 0 or high < 0) else 0
            for value, low, high in each
        )
        return down, right


@dataclass(frozen=True)
class LabelShift:
    """By how much masks stand beside what the images show, beyond what the run undoes.

    Attributes:
        maps: beside the objects in out-of-fold maps.
        edges: beside the edges of the images.
        images: how many were looked at.
        undone: ``data.label_shift`` of the run.
    """

    maps: Offset
    edges: Offset
    images: int
    undone: Shift = (0.0, 0.0)

    @property
    def found(self) -> bool:
        """Whether both say so, of either direction."""
        return any(one == other != 0 for one, other in zip(self.maps.sides(), self.edges.sides(), strict=True))

    @property
    def key(self) -> str:
        """``data.label_shift`` that undoes it, by the edges, which are more exact."""
        down, right = (round(old + new, 1) for old, new in zip(self.undone, self.edges.shift, strict=True))
        return f"[{down:g}, {right:g}]"

    def figures(self) -> str:
        """What both witnesses say."""
        return f"beside maps {self.maps.figures()}; beside edges {self.edges.figures()}"

    def line(self) -> str:
        """The finding in one line."""
        said = (
            f"masks stand beside what the images show: train with --data.label_shift '{self.key}'"
            if self.found
            else "the two do not say that masks stand beside what the images show"
        )
        return f"label shift: {self.figures()}; {self.images} images; {said}"


def label_shift_oof(
    choice: EnsembleChoice, competition: Competition, *, batch_size: int | None = None
) -> LabelShift | None:
    """`measure_label_shift` of a choice; maps are made, where they are missing, only if anything can be said."""
    runs = choice.open_runs()
    configs = [run.config for run in runs]
    if undone_shift(choice, configs) is None:
        return None
    images = choice_images(choice, runs, competition, batch_size=batch_size)
    groups = groups_of(competition, [image.id for image in images], configs[0].folds)
    return measure_label_shift(images, choice, competition, configs, groups=groups)


def undone_shift(choice: EnsembleChoice, configs: Sequence[Config]) -> Shift | None:
    """``data.label_shift`` of all runs of a choice.

    None where maps say nothing of a shift: the runs undo different ones, or views do not turn images around.
    """
    undone = {config.data.label_shift for config in configs}
    return undone.pop() if len(undone) == 1 and turns_around(choice.tta) else None


def measure_label_shift(
    images: Sequence[OofImage],
    choice: EnsembleChoice,
    competition: Competition,
    configs: Sequence[Config],
    *,
    groups: Groups | None = None,
) -> LabelShift | None:
    """Register the out-of-fold maps of a choice, and the images' edges, with the masks.

    Args:
        images: of the choice; of very many some, evenly spread, are looked at.
        choice: how the maps are made.
        competition: the images'.
        configs: of the choice's runs.
        groups: of the images, over which the interval is drawn where they are known.

    Returns:
        The offset; None where nothing can be said, see `undone_shift`, or fewer than 20 images or six groups have an
        edge.
    """
    undone = undone_shift(choice, configs)
    if undone is None:
        return None
    kept = every_nth(range(len(images)), MOST)
    of_maps, of_edges, factors = [], [], []
    for place in progress(kept, "label shift", total=len(kept)):
        image = images[place]
        probability = image.probability(choice.mix)
        label, stored = image.truth(competition), competition.image(image.image)
        of_maps.append(agreement(probability, label, competition.labels))
        of_edges.append(edge_agreement(fit_image(stored, probability.shape[-2:]), label, competition.labels))
        factors.append(np.divide(stored.shape[:2], probability.shape[-2:]))
    chosen = None if groups is None else [groups[place] for place in kept]
    maps, edges = (register(np.array(each).reshape(-1, SIDE, SIDE), groups=chosen) for each in (of_maps, of_edges))
    if maps is None or edges is None:
        return None
    factor = np.mean(factors, axis=0)
    # Maps were moved to where the masks are, images were not.
    return LabelShift(Offset.of(maps * factor), Offset.of(edges * factor - undone), len(kept), undone)
