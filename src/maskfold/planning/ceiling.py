"""How well the true masks score after a network's scale: what shrinking costs whatever the network learns."""

from collections.abc import Iterable, Sequence

import cv2
import numpy as np

from maskfold.competitions import Competition, Sample
from maskfold.labels import Label
from maskfold.metrics import gathered_stats
from maskfold.resizing import fit_image, scaled_size

IMAGES = 24
DISPLACED = 0.5  # pixels of the network's own grid: no network places an outline better


def score_ceilings(competition: Competition, train: Iterable[Sample], scales: Sequence[float]) -> dict[float, float]:
    """Scale -> the competition's score of true masks that were shrunk to it and brought back, half a pixel beside.

    What a network says at a scale is smooth, so the shares of each class are resized, as its probabilities are, and
    decided for at the image's own size. Images without a mask are left out.
    """
    labels = []
    for sample in train:
        size = competition.size(sample.image)
        if sample.masks is not None and competition.coverage(sample.masks, size, id=sample.id) > 0:
            labels.append((sample, competition.label(sample.masks, size, id=sample.id)))
        if len(labels) == IMAGES:
            break
    if not labels:
        return dict.fromkeys(scales, 1.0)
    return {scale: _score(competition, labels, scale) for scale in scales}


def _score(competition: Competition, labels: list[tuple[Sample, Label]], scale: float) -> float:
    metric, ids = competition.metric, [sample.id for sample, _ in labels]
    scales = [scale * competition.resampling(sample) for sample, _ in labels]
    found = [
        metric.stats_of(_shrunk(competition, label, own), label) for own, (_, label) in zip(scales, labels, strict=True)
    ]
    score = float(metric.score(gathered_stats(metric, ids, found)))
    return 1.0 if np.isnan(score) else score


def _shrunk(competition: Competition, label: Label, scale: float) -> np.ndarray:
    size = label.valid.shape
    small = scaled_size((size[0], size[1]), scale)
    layers = [
        _displaced(fit_image(fit_image(layer, small), size), DISPLACED / scale)
        for layer in competition.labels.shares(label)
    ]
    return competition.labels.decide(np.stack(layers))


def _displaced(layer: np.ndarray, by: float) -> np.ndarray:
    """A float (H, W) layer moved by so many pixels to the right and down."""
    height, width = layer.shape
    move = np.array([[1, 0, by], [0, 1, by]], np.float32)
    return cv2.warpAffine(layer, move, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
