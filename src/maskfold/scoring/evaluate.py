"""Scores with their uncertainty: of a run's out-of-fold predictions, of a submission whose truth is at hand."""

from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np

from maskfold.competitions import Competition, Sample
from maskfold.config import InferenceConfig
from maskfold.datasets import load_groups
from maskfold.ensembling.choice import EnsembleChoice
from maskfold.ensembling.oof import oof_images
from maskfold.errors import InferenceError
from maskfold.inference.decoding import postprocess
from maskfold.metrics import Evaluation
from maskfold.runs import Run


def evaluate_oof(choice: EnsembleChoice, competition: Competition, options: InferenceConfig) -> Evaluation:
    """Score of a choice on its runs' out-of-fold predictions (a tuned choice was fitted to them)."""
    runs = [Run.open(Path(checkpoint.run)) for checkpoint in choice.checkpoints]
    images = oof_images(
        runs, [checkpoint.checkpoint for checkpoint in choice.checkpoints], competition, [options] * len(runs)
    )
    weights = np.array([checkpoint.weight for checkpoint in choice.checkpoints])
    metric = competition.metric
    rows = []
    for image in images:
        probability = image.probabilities(weights / weights.sum())
        mask = postprocess(
            probability, threshold=choice.threshold, min_area=choice.min_area, fill_holes=choice.fill_holes
        )
        rows.append(metric.image_stats(mask, image.truth(competition, probability.shape[1:])))
    ids = [image.id for image in images]
    return Evaluation(metric, ids, np.stack(rows), _groups(runs[0], competition, ids))


def evaluate_submission(submission: Path, truth: Path, competition: Competition) -> Evaluation:
    """Score of a submission against a table of the true masks in the competition's own form.

    Raises:
        InferenceError: an image that only one of the two has, or of unknown size.
    """
    predicted, true = competition.read_masks(submission), competition.read_masks(truth)
    refuse_other_images(true, predicted, truth, submission)
    samples = samples_of(competition, list(true))
    metric = competition.metric
    rows = []
    for image_id, sample in samples.items():
        shape = competition.mask_size(sample)
        mask, target = (competition.mask(masks[image_id], shape, id=image_id) for masks in (predicted, true))
        rows.append(metric.image_stats(mask, target))
    return Evaluation(metric, list(true), np.stack(rows))


def _groups(run: Run, competition: Competition, ids: Sequence[str]) -> list[str] | None:
    """The images' groups, where the run's folds were divided by groups."""
    samples = competition.samples("train")
    groups = load_groups(competition, samples, run.config.folds)
    if groups is None:
        return None
    by_id = dict(zip(samples.ids, groups, strict=True))
    return [by_id[image_id] for image_id in ids]


def refuse_other_images(expected: Collection[str], found: Collection[str], source: Path, other: Path) -> None:
    """Raise an `InferenceError` unless ``other`` names the same images as ``source``."""
    missing, extra = sorted(set(expected) - set(found)), sorted(set(found) - set(expected))
    if missing or extra:
        raise InferenceError(
            f"{other} lacks {len(missing)} images of {source} {missing[:3]} and has {len(extra)} others "
            f"{extra[:3]}: both must name the same images"
        )


def samples_of(competition: Competition, ids: Sequence[str]) -> dict[str, Sample]:
    """id -> sample, for ids of one split.

    Raises:
        InferenceError: an id that is no image of that split.
    """
    # Split by split: a competition may use the same names in both.
    for split in ("test", "train"):
        samples = competition.samples(split).by_id
        if set(ids) <= samples.keys():
            return {image_id: samples[image_id] for image_id in ids}
    raise InferenceError(
        f"there are ids that are not images of one split of {competition.root}, such as "
        f"{next((i for i in ids if i not in samples), ids[0])}: give masks of its test images, or of training images"
    )
