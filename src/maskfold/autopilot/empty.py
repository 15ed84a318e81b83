"""The submission of last resort."""

from pathlib import Path

import numpy as np

from maskfold.competitions import Competition
from maskfold.competitions.submission import SubmissionWriter
from maskfold.ensembling.submit import test_samples


def write_empty(competition: Competition, path: Path) -> None:
    """Write a valid submission whose masks are all empty.

    Raises:
        InferenceError: there are no test images.
    """
    samples = test_samples(competition)
    with SubmissionWriter(competition, path, samples.ids) as writer:
        for sample in samples:
            writer.write(sample.id, np.zeros(competition.labels.mask_shape(competition.mask_size(sample)), np.uint8))
