"""One look at every out-of-fold image: what its pixels show beyond the competition's score."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
import pandas as pd

from maskfold.competitions import Competition
from maskfold.ensembling.choice import EnsembleChoice, Mix
from maskfold.ensembling.oof import OofImage
from maskfold.inference.decoding import Chain, build_chain
from maskfold.inference.predict import Prediction
from maskfold.instances import numbered, plain
from maskfold.labels import Label, LabelSpec
from maskfold.metrics import CalibrationMetrics, SegmentationMetrics
from maskfold.progress import progress
from maskfold.report.borders import compare_borders

# A pixel is confidently wrong when its label has at most this probability.
DOUBT = 0.05
# Disagreement narrower than this many pixels is a border drawn differently, not a wrong label.
NARROWEST = 5


@dataclass(frozen=True)
class Survey:
    """What was seen.

    ``images``: a row per image in the given order: id, fold, coverage and predicted (shares of the scored
    pixels that are labelled and predicted as foreground), uncertainty (mean entropy of its pixels, 0 to 1),
    unlabelled and unfound (pixels of confident disagreement), border_offset and border_share (`Border`).
    ``labelled``: bool (n, C), which classes are labelled anywhere in each image.
    ``calibration``: of the probabilities that are decided
    on, by what they are: ``chosen``, and where that is something else ``plain``, the equal mean of the runs.
    """

    images: pd.DataFrame
    labelled: np.ndarray
    calibration: dict[str, CalibrationMetrics]
    metrics: SegmentationMetrics


def survey_images(images: Sequence[OofImage], competition: Competition, choice: EnsembleChoice) -> Survey:
    """Look at every image once; one image's maps are in memory at a time."""
    labels, chain = competition.labels, build_chain(choice.post, competition.labels, competition.images)
    metrics = SegmentationMetrics(labels)
    equal = (1 / len(choice.runs),) * len(choice.runs)
    kinds = ("chosen", "plain") if chain.before or choice.weights != equal or choice.stack else ("chosen",)
    calibration = {kind: CalibrationMetrics(labels) for kind in kinds}
    rows, labelled = [], []
    for image in progress(images, "out-of-fold images", total=len(images)):
        prediction, refined, mask = _decode(image, competition, choice, chain)
        probability, mask, truth = prediction.probability, plain(mask), image.truth(competition)
        metrics.update(mask, truth.values, truth.valid)
        calibration["chosen"].update(refined, truth)
        if "plain" in calibration:
            calibration["plain"].update(image.probability(Mix(choice.mix.checkpoints, equal)), truth)
        unlabelled, unfound = confident_disagreement(labels, probability, truth)
        labelled.append((labels.layers(truth.values) & truth.valid).any((1, 2)))
        border = compare_borders(labels.foreground(mask), labels.foreground(truth.values), truth.valid)
        rows.append(
            {
                "id": image.id,
                "fold": image.fold,
                "coverage": _share(labels.foreground(truth.values), truth.valid),
                "predicted": _share(labels.foreground(mask), truth.valid),
                "uncertainty": mean_entropy(labels, probability, truth.valid),
                "unlabelled": int(unlabelled.sum()),
                "unfound": int(unfound.sum()),
                "border_offset": border.offset,
                "border_share": border.share,
            }
        )
    return Survey(pd.DataFrame(rows), np.array(labelled).reshape(-1, labels.channels), calibration, metrics)


class Seen(NamedTuple):
    """What is known of one image.

    Attributes:
        probability: float32 (C, H, W), the ensemble's, after the steps that change it: what is decided on.
        truth: the label.
        mask: the ensemble's, in the form of the task.
        objects: int32 (H, W), its instances; None: no class of several objects.
        presence: float32 (C,), see `Prediction`.
    """

    probability: np.ndarray
    truth: Label
    mask: np.ndarray
    objects: np.ndarray | None
    presence: np.ndarray | None


def predict_image(image: OofImage, competition: Competition, choice: EnsembleChoice) -> Seen:
    """The truth of an image, and what the ensemble makes of it."""
    chain = build_chain(choice.post, competition.labels, competition.images)
    prediction, refined, mask = _decode(image, competition, choice, chain)
    truth = image.truth(competition)
    objects = None if truth.instances is None else numbered(mask)
    return Seen(refined, truth, plain(mask), objects, prediction.presence)


def _decode(
    image: OofImage, competition: Competition, choice: EnsembleChoice, chain: Chain
) -> tuple[Prediction, np.ndarray, np.ndarray]:
    """What the chain takes, the probabilities that it decides on, and its mask, with instances where it has them."""
    prediction = image.prediction(choice.mix, competition)
    refined = chain.refine(prediction.probability, prediction.image, prediction.presence)
    return prediction, refined, chain.decide(refined, prediction.image, prediction.presence, prediction.inside)


def mean_entropy(labels: LabelSpec, probability: np.ndarray, scored: np.ndarray) -> float:
    """Mean over the scored pixels of the entropy of their class, relative to that of a blind guess.

    Where classes do not exclude each other, each is a guess of its own.
    """
    if not scored.any():
        return 0.0
    values = probability[:, scored].astype(np.float64)
    if not labels.exclusive:
        values = np.stack([values.ravel(), 1 - values.ravel()])
    terms = values * np.log(np.where(values > 0, values, 1))
    return abs(float(terms.sum(0).mean())) / np.log(len(values))


def confident_disagreement(labels: LabelSpec, probability: np.ndarray, truth: Label) -> tuple[np.ndarray, np.ndarray]:
    """Two masks (H, W) bool: surely foreground but labelled as background, and the reverse, of any class.

    For exclusive classes: of another class than the label, where that label is background, and where not.
    Sure means that the label has a probability of at most 0.05 and another class one of at least 0.95;
    disagreement narrower than 5 pixels is left out.
    """
    if labels.exclusive:
        wrong = (probability.argmax(0) != truth.values) & (probability.max(0) >= 1 - DOUBT)
        background = ~labels.foreground(truth.values)
        parts = wrong & background, wrong & ~background
    else:
        layers = labels.layers(truth.values)
        parts = (~layers & (probability >= 1 - DOUBT)).any(0), (layers & (probability <= DOUBT)).any(0)
    kernel = np.ones((NARROWEST, NARROWEST), np.uint8)
    unlabelled, unfound = (
        cv2.morphologyEx((part & truth.valid).astype(np.uint8), cv2.MORPH_OPEN, kernel) > 0 for part in parts
    )
    return unlabelled, unfound


def _share(where: np.ndarray, scored: np.ndarray) -> float:
    return float((where & scored).sum() / max(1, scored.sum()))
