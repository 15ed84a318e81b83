"""Objects that touch, told apart: the watershed of how far inside of an object each pixel is."""

from typing import ClassVar

import numpy as np

from maskfold.distances import distance_to_outside
from maskfold.errors import InferenceError
from maskfold.inference.decoding.steps import Step, Values
from maskfold.instances import components


class Watershed(Step):
    """Every object grows from a marker, a place that is certainly inside of it, until it meets another one.

    How far inside a pixel is comes from the network, where it has such an output (``model.instances``), times the
    probability; else it is the distance to the mask's edge over the largest one of its component. Markers are
    components of what is at least ``marker`` far inside, those of fewer than ``marker_area`` pixels left out. A
    component of the mask without a marker stays one object.

    Source: Vincent & Soille, "Watersheds in Digital Spaces", IEEE TPAMI 1991; scikit-image computes it.
    """

    stage = "instances"
    tried: ClassVar[Values] = {
        "marker": tuple(round(0.2 + 0.1 * i, 1) for i in range(8)),
        "marker_area": (0, 5, 20, 80),
    }

    def __init__(self, marker: float, marker_area: int) -> None:
        self.marker, self.marker_area = marker, marker_area

    def __call__(
        self,
        layers: np.ndarray,
        image: np.ndarray | None,
        probability: np.ndarray | None = None,
        inside: np.ndarray | None = None,
    ) -> np.ndarray:
        """int32 (H, W), the instances of the mask ``layers``."""
        whole = components(layers)
        height = relative_distance(layers, whole) if inside is None or probability is None else inside * probability
        return _watershed(-height, self._markers(height, whole), layers)

    def _markers(self, height: np.ndarray, whole: np.ndarray) -> np.ndarray:
        markers = components((height >= np.float32(self.marker)) & (whole > 0))
        areas = np.bincount(markers.ravel())
        markers[(areas < self.marker_area)[markers]] = 0
        marked = np.unique(whole[markers > 0])
        alone = ~np.isin(whole, marked) & (whole > 0)
        return np.where(alone, whole + markers.max(), markers).astype(np.int32)


def relative_distance(mask: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """float32 (H, W): distance to the mask's edge, over the largest one in the component (of ``whole``)."""
    distance = distance_to_outside(mask)
    largest = np.zeros(whole.max() + 1, np.float32)
    np.maximum.at(largest, whole.ravel(), distance.ravel())
    return distance / np.maximum(largest, np.float32(1))[whole]


def _watershed(height: np.ndarray, markers: np.ndarray, mask: np.ndarray) -> np.ndarray:
    try:
        from skimage.segmentation import watershed  # an optional dependency
    except ImportError:
        raise InferenceError(
            "post.watershed needs scikit-image, which is not installed: pip install 'maskfold[instances]', or set "
            "post.watershed to null"
        ) from None
    return watershed(height, markers, connectivity=2, mask=mask > 0).astype(np.int32)  # 8 neighbours, as `components`
