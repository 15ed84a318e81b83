"""The metric of Kaggle's UW-Madison GI Tract Image Segmentation (2022): Dice and 3D Hausdorff distance."""

from collections.abc import Sequence

import numpy as np

from maskfold.errors import CompetitionError, MaskfoldError
from maskfold.labels import Label, LabelSpec
from maskfold.metrics.arrays import nan_mean, ratio
from maskfold.metrics.competition import CompetitionMetric

DICE, HAUSDORFF = 0.4, 0.6
SLICE = "_slice_"
# A prediction of so many times the true voxels is as far from them as can be.
TOO_MANY = 10


class GiTractMetric(CompetitionMetric):
    """0.4 mean Dice + 0.6 (1 - mean 3D Hausdorff distance).

    Dice is of each slice and class, the distance of each volume: of the slices whose ids begin alike, up to ``_slice_``
    (case and day), in the order of their ids. What is empty in both leaves either mean. Distances are between voxels at
    (z / D, y / H, x / W), over the diagonal of the unit cube: 0 to 1. They are 1 where one of the two is empty, or the
    prediction has more than ten times the true voxels.

    Stats of a slice: Dice of each class, its volume's distances, and 1 over the number of the volume's slices. The
    score of a slice is 0.4 of its mean Dice + 0.6 of what its volume's distance leaves of 1, nan where it is empty in
    both. With ``joined`` the score of a class is its Dice alone.

    Args:
        labels: of the masks.
        joined: whether a volume's distance is of all classes together, as MLE-bench's grader has it; else of each
            class.

    Sources: https://www.kaggle.com/competitions/uw-madison-gi-tract-image-segmentation/overview/evaluation; it leaves
    classes and empty masks open, where the grader of MLE-bench (Chan et al., arXiv 2410.07095) is followed.
    """

    name = "gi_tract"
    tasks = ("binary", "multilabel")

    def __init__(self, labels: LabelSpec, *, joined: bool = True) -> None:
        super().__init__(labels)
        self.class_names = () if labels.task == "binary" else labels.class_names
        self.joined = joined

    def image_stats(self, mask: np.ndarray, label: Label) -> np.ndarray:
        """int64, for `unit_stats`: height, width, TP and the sum of both areas of each class, and where runs change.

        Runs are those of what distances are between, first predicted, then labelled, pixel by pixel.
        """
        if mask.shape != label.values.shape or mask.shape != self.labels.mask_shape(label.valid.shape[-2:]):
            raise MaskfoldError(f"the masks are {mask.shape} and {label.values.shape}: expected one image at a time")
        predicted, labelled = (self.labels.layers(one) & label.valid for one in (mask, label.values))
        counts = [(predicted & labelled).sum((1, 2)), predicted.sum((1, 2)) + labelled.sum((1, 2))]
        layers = np.stack([predicted, labelled])
        layers = layers.any(1) if self.joined else layers
        edges = np.flatnonzero(np.diff(layers.ravel(), prepend=False, append=False))
        return np.concatenate([label.valid.shape, *counts, edges])

    def unit(self, image_id: str) -> str:
        volume, found, _ = image_id.rpartition(SLICE)
        if not found:
            raise CompetitionError(
                f"the metric {self.name} scores volumes, and the id {image_id} does not say which volume it is a slice "
                f"of: expected ids such as case123_day20{SLICE}0001"
            )
        return volume

    def unit_stats(self, found: Sequence[np.ndarray]) -> np.ndarray:
        shapes = {tuple(edges[:2].tolist()) for edges in found}
        if len(shapes) > 1:
            raise MaskfoldError(f"the slices of a volume have the sizes {sorted(shapes)}: expected one size")
        classes = self.labels.channels
        counts = np.stack([one[2 : 2 + 2 * classes].reshape(2, classes) for one in found])
        dice = ratio(2 * counts[:, 0], counts[:, 1])
        shape = (2, 1 if self.joined else classes, *shapes.pop())
        slices = [_filled(one[2 + 2 * classes :], shape) for one in found]
        predicted, labelled = np.stack(slices, axis=2)  # (classes, D, H, W) each
        distances = [hausdorff(*volumes) for volumes in zip(predicted, labelled, strict=True)]
        of_volume = np.tile([*distances, 1 / len(found)], (len(found), 1))
        return np.concatenate([dice, of_volume], axis=1)

    def per_image(self, stats: np.ndarray) -> np.ndarray:
        dice, distances, _ = self._parts(stats)
        return DICE * nan_mean(dice) + HAUSDORFF * (1 - nan_mean(distances))

    def per_class(self, stats: np.ndarray) -> np.ndarray:
        if not self.class_names:
            return np.empty(0)
        dice, distances, share = self._parts(stats)
        of_class = nan_mean(dice, axis=-2)
        return of_class if self.joined else DICE * of_class + HAUSDORFF * (1 - _mean_of_volumes(distances, share, -2))

    def score(self, stats: np.ndarray) -> np.ndarray | float:
        dice, distances, share = self._parts(stats)
        mean = nan_mean(dice.reshape(*dice.shape[:-2], -1))
        return (DICE * mean + HAUSDORFF * (1 - _mean_of_volumes(distances, share, (-2, -1))))[()]

    def _parts(self, stats: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Dice (..., n, C), distances (..., n, 1 or C) and the share of the volume (..., n, 1)."""
        classes = self.labels.channels
        return stats[..., :classes], stats[..., classes:-1], stats[..., -1:]


def hausdorff(predicted: np.ndarray, labelled: np.ndarray) -> float:
    """Hausdorff distance of two volumes, bool (D, H, W), as `GiTractMetric` has it; nan where both are empty."""
    voxels, true = np.count_nonzero(predicted), np.count_nonzero(labelled)
    if not voxels and not true:
        return float("nan")
    if not voxels or not true or voxels > TOO_MANY * true:
        return 1.0
    scale = np.array(predicted.shape)
    box = _box(predicted | labelled)
    there, back = (
        _farthest(*pair, scale) for pair in ((predicted[box], labelled[box]), (labelled[box], predicted[box]))
    )
    return max(there, back) / np.sqrt(3)


def _box(volume: np.ndarray) -> tuple[slice, ...]:
    """The smallest one around all voxels."""
    ends = [np.flatnonzero(volume.any(tuple({0, 1, 2} - {axis})))[[0, -1]] for axis in range(3)]
    return tuple(slice(first, last + 1) for first, last in ends)


def _farthest(volume: np.ndarray, other: np.ndarray, scale: np.ndarray) -> float:
    """How far the voxel of ``volume`` that is farthest from ``other`` is from it; the whole is ``scale`` voxels."""
    from scipy.ndimage import binary_erosion
    from scipy.spatial import KDTree  # only volumes need it

    outside = np.argwhere(volume & ~other)
    if not len(outside):
        return 0.0
    # What is nearest to a voxel outside is on the surface.
    surface = np.argwhere(other & np.logical_not(binary_erosion(other)))
    return float(KDTree(surface / scale).query(outside / scale)[0].max())


def _filled(edges: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """bool array of ``shape`` whose value changes at each of ``edges``."""
    if not len(edges):
        return np.zeros(shape, bool)
    changes = np.zeros(np.prod(shape) + 1, bool)
    changes[edges] = True
    return np.logical_xor.accumulate(changes[:-1]).reshape(shape)


def _mean_of_volumes(distances: np.ndarray, share: np.ndarray, axis: int | tuple[int, ...]) -> np.ndarray:
    """The mean over volumes of what each of their slices holds a share of."""
    there = ~np.isnan(distances)
    return ratio((np.where(there, distances, 0) * share).sum(axis), (there * share).sum(axis))
