"""Scores with their uncertainty: of a run's out-of-fold predictions, of a submission whose truth is at hand."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from maskfold.competitions import Competition
from maskfold.config import InferenceConfig
from maskfold.datasets import load_groups
from maskfold.inference.errors import InferenceError
from maskfold.inference.oof import oof_images
from maskfold.inference.postprocess import postprocess
from maskfold.metrics import ContestMetric, bootstrap_interval, build_metric, paired_bootstrap
from maskfold.runs import EnsembleChoice, Run


@dataclass(frozen=True)
class Evaluation:
    """Per-image statistics of a contest's metric, and what follows from them."""

    metric: ContestMetric
    ids: list[str]
    stats: np.ndarray
    groups: list[str] | None = None

    @property
    def score(self) -> float:
        """The contest's number."""
        return float(self.metric.score(self.stats))

    def interval(self) -> tuple[float, float]:
        """95 % bootstrap interval of the score, over images or over groups where they are known."""
        return bootstrap_interval(self.stats, self.metric.score, groups=self.groups)

    def per_image(self) -> pd.DataFrame:
        """``id, score``, worst first."""
        table = pd.DataFrame({"id": self.ids, "score": self.metric.per_image(self.stats)})
        return table.sort_values("score", kind="stable", ignore_index=True)

    def line(self) -> str:
        """The score in one line."""
        low, high = self.interval()
        over = "groups" if self.groups is not None else "images"
        return (
            f"{self.metric.name} {self.score:.4f} (95 % of bootstraps over {over}: {low:.4f} to {high:.4f})"
        )


def class_lines(metric: ContestMetric, stats: np.ndarray, names: Sequence[str]) -> str:
    """The score of each class, worst first, one to a line; nothing for a binary contest."""
    scores = metric.per_class(stats)
    if scores is None:
        return ""
    table = pd.Series(scores, index=list(names)[: len(scores)]).sort_values(na_position="first")
    return "\n" + "\n".join(f"  {name:20} {score:.4f}" for name, score in table.items())


def contest_metric(competition: Competition) -> ContestMetric:
    """The metric that the contest ranks by."""
    return build_metric(
        competition.metric, num_classes=competition.num_classes, ignore_index=competition.ignore_index
    )


def evaluate_oof(choice: EnsembleChoice, competition: Competition, options: InferenceConfig) -> Evaluation:
    """Score of a choice on its runs' out-of-fold predictions (a tuned choice was fitted to them)."""
    runs = [Run.open(Path(member.run)) for member in choice.members]
    images = oof_images(
        runs, [member.member for member in choice.members], competition, [options] * len(runs)
    )
    weights = np.array([member.weight for member in choice.members])
    metric = contest_metric(competition)
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
    """Score of a submission against a table of the true masks in the contest's own form.

    Raises:
        InferenceError: an image that only one of the two has, or of unknown size.
    """
    predicted, true = competition.read_masks(submission), competition.read_masks(truth)
    refuse_other_images(true, predicted, truth, submission)
    images = image_paths(competition, list(true))
    metric = contest_metric(competition)
    rows = []
    for image_id, path in images.items():
        shape = competition.size(path)
        mask, target = (competition.mask(part[image_id], shape, id=image_id) for part in (predicted, true))
        rows.append(metric.image_stats(mask, target))
    return Evaluation(metric, list(true), np.stack(rows))


def compare(a: Evaluation, b: Evaluation) -> str:
    """One line: by how much ``a`` is better than ``b`` on the same images, and how sure that is.

    Raises:
        InferenceError: they do not hold the same images.
    """
    if a.ids != b.ids:
        raise InferenceError("the two do not hold the same images: only the same images can be compared")
    result = paired_bootstrap(a.stats, b.stats, a.metric.score, groups=a.groups)
    return (
        f"difference {result.difference:+.4f} (95 % of paired bootstraps: {result.low:+.4f} to {result.high:+.4f}); "
        f"better in {result.share_better:.0%} of them"
    )


def _groups(run: Run, competition: Competition, ids: Sequence[str]) -> list[str] | None:
    """The images' groups, where the run's folds were divided by groups."""
    samples = competition.samples("train")
    groups = load_groups(competition, samples, run.config.folds)
    if groups is None:
        return None
    by_id = dict(zip(samples["id"], groups, strict=True))
    return [by_id[image_id] for image_id in ids]


def refuse_other_images(expected: Collection[str], found: Collection[str], source: Path, other: Path) -> None:
    """Raise an `InferenceError` unless ``other`` names the same images as ``source``."""
    missing, extra = sorted(set(expected) - set(found)), sorted(set(found) - set(expected))
    if missing or extra:
        raise InferenceError(
            f"{other} lacks {len(missing)} images of {source} {missing[:3]} and has {len(extra)} others "
            f"{extra[:3]}: both must name the same images"
        )


def image_paths(competition: Competition, ids: Sequence[str]) -> dict[str, str]:
    """id -> path of the image inside the contest's folder, for ids of one part.

    Raises:
        InferenceError: an id that is no image of that part.
    """
    # Part by part: a contest may use the same names in both.
    for part in ("test", "train"):
        samples = competition.samples(part)
        images = dict(zip(samples["id"], samples["image"], strict=True))
        if set(ids) <= images.keys():
            return {image_id: images[image_id] for image_id in ids}
    raise InferenceError(
        f"there are ids that are no images of one part of {competition.root}, such as "
        f"{next((i for i in ids if i not in images), ids[0])}: give masks of its test images, or of training images"
    )
