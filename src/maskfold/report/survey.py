"""One look at every out-of-fold image: what its pixels say besides the competition's score."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import pandas as pd
from tqdm import tqdm

from maskfold.competitions import Competition
from maskfold.ensembling.choice import EnsembleChoice
from maskfold.ensembling.labels import labels_of
from maskfold.ensembling.oof import OofImage
from maskfold.inference.decoding import build_chain
from maskfold.metrics import SegmentationMetrics

# A pixel is confidently wrong when its label has at most this probability.
DOUBT = 0.05
# Disagreement narrower than this many pixels is a border drawn differently, not a wrong label.
NARROWEST = 5
LEVELS = 256


@dataclass(frozen=True)
class Survey:
    """What was seen.

    ``images``: a row per image in the given order: id, fold, coverage and predicted (shares of the scored
    pixels that are labelled and predicted as foreground), uncertainty (mean entropy of its pixels, 0 to 1),
    unlabelled and unfound (pixels of confident disagreement). ``levels`` (256, 2): the number of pixels at
    each 8-bit level of confidence, and of those that are right (binary: of the foreground's probability, and
    of those labelled as foreground).
    """

    images: pd.DataFrame
    levels: np.ndarray
    metrics: SegmentationMetrics


def survey_images(images: Sequence[OofImage], competition: Competition, choice: EnsembleChoice) -> Survey:
    """Look at every image once; one image's maps are in memory at a time."""
    metrics = _metrics(competition)
    levels = np.zeros((LEVELS, 2), np.int64)
    rows = []
    for image in tqdm(images, desc="out-of-fold images", unit="image", leave=False, disable=None):
        probability, truth, mask = predict_image(image, competition, choice)
        metrics.update(mask, truth)
        scored = truth != competition.ignore_index
        counts = level_counts(probability, truth, scored)
        levels += counts
        unlabelled, unfound = confident_disagreement(probability, truth, scored)
        rows.append(
            {
                "id": image.id,
                "fold": image.fold,
                "coverage": _share(truth > 0, scored),
                "predicted": _share(mask > 0, scored),
                "uncertainty": mean_entropy(probability, scored),
                "unlabelled": int(unlabelled.sum()),
                "unfound": int(unfound.sum()),
            }
        )
    return Survey(pd.DataFrame(rows), levels, metrics)


def predict_image(
    image: OofImage, competition: Competition, choice: EnsembleChoice
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Probability float32 (C, H, W), truth and mask uint8 (H, W) of the ensemble."""
    probability = image.probability(choice.checkpoints, choice.weights)
    mask = build_chain(choice.post, labels_of(competition))(image.prediction(probability, competition))
    return probability, image.truth(competition, probability.shape[1:]), mask


def level_counts(probability: np.ndarray, truth: np.ndarray, scored: np.ndarray) -> np.ndarray:
    """(256, 2) counts of the scored pixels, see `Survey`."""
    if len(probability) == 1:
        confidence, right = probability[0], truth == 1
    else:
        confidence, right = probability.max(0), probability.argmax(0) == truth
    levels = np.rint(confidence * (LEVELS - 1)).astype(np.intp)
    return np.stack([np.bincount(levels[where], minlength=LEVELS) for where in (scored, scored & right)], 1)


def mean_entropy(probability: np.ndarray, scored: np.ndarray) -> float:
    """Mean over the scored pixels of the entropy of their class, relative to that of a blind guess."""
    if not scored.any():
        return 0.0
    values = probability[:, scored].astype(np.float64)
    if len(values) == 1:
        values = np.concatenate([values, 1 - values])
    terms = values * np.log(np.where(values > 0, values, 1))
    return abs(float(terms.sum(0).mean())) / np.log(len(values))


def confident_disagreement(
    probability: np.ndarray, truth: np.ndarray, scored: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Two masks (H, W) bool: surely foreground but labelled as background, and the reverse.

    For several classes: of another class than the label, where that label is background, and where not.
    Sure means that the label has a probability of at most 0.05 and another class one of at least 0.95;
    disagreement narrower than 5 pixels is left out.
    """
    background = truth == 0
    if len(probability) == 1:
        wrong = np.where(background, probability[0] >= 1 - DOUBT, probability[0] <= DOUBT)
    else:
        wrong = (probability.argmax(0) != truth) & (probability.max(0) >= 1 - DOUBT)
    kernel = np.ones((NARROWEST, NARROWEST), np.uint8)
    parts = [(wrong & scored & where).astype(np.uint8) for where in (background, ~background)]
    unlabelled, unfound = (cv2.morphologyEx(part, cv2.MORPH_OPEN, kernel) > 0 for part in parts)
    return unlabelled, unfound


def _metrics(competition: Competition) -> SegmentationMetrics:
    names = competition.class_names
    if competition.num_classes == 1:
        names = ("background", names[0] if names[0] != "background" else "foreground")
    return SegmentationMetrics(len(names), competition.ignore_index, class_names=names)


def _share(where: np.ndarray, scored: np.ndarray) -> float:
    return float((where & scored).sum() / max(1, scored.sum()))
