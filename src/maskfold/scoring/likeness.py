"""A second score, of validation images that count by how much they look like test images.

Where the test images are others than the training images (other cameras, places, seasons), the mean over the validation
images answers a question that nobody asks. Weighted by the odds that a simple classifier of colours takes them for test
images they look like these, as far as colours tell. It stands beside the score, never in its place.
"""

from dataclasses import dataclass

import numpy as np

from maskfold.checks.images import check_images
from maskfold.checks.large import without_large
from maskfold.checks.notes import Notes
from maskfold.checks.shift import FEWEST, likeness_to_test
from maskfold.competitions import Competition
from maskfold.errors import InferenceError
from maskfold.metrics import Evaluation
from maskfold.metrics.resamples import weighted_score


@dataclass(frozen=True)
class Likeness:
    """How much training images look like test images.

    Attributes:
        weights: image -> how much it counts, 1 on average.
        auc: of telling training from test images: 0.5 alike, 1 each image told apart.
    """

    weights: dict[str, float]
    auc: float

    def line(self, found: Evaluation) -> str:
        """The weighted score of an evaluation of training images, and how many images it is as good as."""
        weights = np.array([self.weights.get(name, 1.0) for name in found.ids])
        score, low, high = weighted_score(found.metric, found.stats, weights, groups=found.groups)
        # Kish, Survey Sampling, 1965: as many equally weighted images have the same spread.
        effective = weights.sum() ** 2 / np.square(weights).sum()
        spread = "" if np.isnan(low) else f" (95 % of bootstraps: {low:.4f} to {high:.4f})"
        return (
            f"weighted by likeness to the test images: {found.metric.name} {score:.4f}{spread}, as good as "
            f"{effective:.0f} of {len(weights)} images; colours tell training from test images with an AUC of "
            f"{self.auc:.2f}{found.note}"
        )


def measure_likeness(competition: Competition) -> Likeness:
    """Read every image, and weigh the training images.

    Raises:
        InferenceError: fewer than 40 images in a split that can be read whole.
    """
    notes = Notes()
    samples = {"train": competition.samples("train"), "test": competition.samples("test")}
    images = check_images(competition, without_large(competition, samples, notes), notes)
    train, test = (images.table[images.table["split"] == split] for split in ("train", "test"))
    if min(len(train), len(test)) < FEWEST:
        raise InferenceError(
            f"likeness to the test images needs at least {FEWEST} images of each split, and there are {len(train)} "
            f"and {len(test)}: leave out --like-test"
        )
    weights, auc = likeness_to_test(*(table[images.colours].to_numpy(float) for table in (train, test)))
    return Likeness(dict(zip(train["id"], weights.tolist(), strict=True)), auc)
