"""Scores with their uncertainty: of a run's out-of-fold predictions, of a submission whose truth is at hand."""

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from maskfold.cluster import Cluster
from maskfold.competitions import Competition, Sample
from maskfold.ensembling.choice import EnsembleChoice
from maskfold.ensembling.ensemble import refuse_without_presence
from maskfold.ensembling.finished import optimism
from maskfold.ensembling.oof import OofImage, groups_of, oof_images
from maskfold.ensembling.settings import Scorer, Setting
from maskfold.errors import InferenceError, first_few
from maskfold.metrics import Evaluation, gathered_stats, paired_bootstrap
from maskfold.metrics.bootstrap import FEWEST_GROUPS
from maskfold.metrics.competition import CountedMetric
from maskfold.runs import Run
from maskfold.scoring.run_lengths import counts_of_runs


def evaluate_oof(
    choice: EnsembleChoice,
    competition: Competition,
    *,
    folds: Collection[int] | None = None,
    batch_size: int | None = None,
    cluster: Cluster | None = None,
) -> Evaluation:
    """Score of a choice on its runs' out-of-fold predictions (a tuned choice was fitted to them).

    Args:
        choice: the runs, how their maps are made, and the decoding.
        competition: the runs'.
        folds: only the images that these of the finished folds validate; `None`: all.
        batch_size: images per batch where maps are computed; `None`: as in each run's config.
        cluster: compute missing maps on a Ray cluster.

    Raises:
        ConfigError: the decoding asks for a presence that no run predicts.
    """
    runs = choice.open_runs()
    refuse_without_presence(choice, competition, runs)
    images = choice_images(choice, runs, competition, folds=folds, batch_size=batch_size, cluster=cluster)
    ids = [image.id for image in images]
    stats = Scorer(images, competition).stats(Setting.of(choice))
    groups = groups_of(competition, ids, runs[0].config.folds)
    return Evaluation(competition.metric, ids, stats, groups, optimism(runs))


def choice_images(
    choice: EnsembleChoice,
    runs: Sequence[Run],
    competition: Competition,
    *,
    folds: Collection[int] | None = None,
    batch_size: int | None = None,
    cluster: Cluster | None = None,
) -> list[OofImage]:
    """The out-of-fold images of a choice, whose ``runs`` are in its order; see `evaluate_oof`."""
    names = [[name] for name in choice.checkpoints]
    tta = [choice.tta] * len(runs)
    return oof_images(runs, names, competition, tta, folds=folds, batch_size=batch_size, cluster=cluster)


def evaluate_submission(submission: Path, truth: Path, competition: Competition) -> Evaluation:
    """Score of a submission against a table of the true masks in the competition's own form.

    Masks of training images have the images' sizes in files, and are scored at the submission's like all others.

    Raises:
        InferenceError: an image that only one of the two has, or of unknown size.
    """
    predicted, true = competition.read_masks(submission), competition.read_masks(truth)
    refuse_other_images(true, predicted, truth, submission)
    samples = samples_of(competition, list(true))
    rows = [_stats(competition, sample, predicted[image_id], true[image_id]) for image_id, sample in samples.items()]
    metric, ids = competition.metric, list(true)
    return Evaluation(metric, ids, gathered_stats(metric, ids, rows), groups_of(competition, ids))


def _stats(competition: Competition, sample: Sample, predicted: Any, true: Any) -> np.ndarray:
    """The metric's statistics of one image; run lengths are drawn only where the metric looks at pixels."""
    metric, size = competition.metric, competition.mask_size(sample)
    undrawn = competition.submission_kind == "csv" and size == competition.scored_size(sample)
    if undrawn and isinstance(metric, CountedMetric):
        layers = (competition.runs(masks, size, id=sample.id) for masks in (predicted, true))
        return metric.stats_of_counts(counts_of_runs(competition.labels, *layers))
    found, label = (competition.scored_label(sample, masks=masks) for masks in (predicted, true))
    return metric.stats_of(found.values if found.instances is None else found.instances, label)


def better(a: Evaluation, b: Evaluation) -> bool | None:
    """Whether ``a`` is better than ``b`` on the same images; `None`: the images do not show a difference.

    A difference is shown where the 95 % interval of the paired bootstrap, over images or over groups, leaves out 0:
    over `FEWEST_GROUPS` or more, for an interval over fewer leaves it out by chance too often.
    """
    if a.units < FEWEST_GROUPS:
        return None
    result = paired_bootstrap(a.stats, b.stats, a.metric.score, groups=a.groups)
    return True if result.low > 0 else False if result.high < 0 else None


def verdict(a: Evaluation, b: Evaluation, names: tuple[str, str]) -> str:
    """Which of two is better, in one line."""
    found = better(a, b)
    if found is None:
        units = f"{a.units} images" if a.groups is None else f"{a.units} groups of images"
        return f"Verdict: no difference between {names[0]} and {names[1]} that {units} can show"
    first, second = names if found else names[::-1]
    return f"Verdict: {first} is better than {second}"


def refuse_other_images(expected: Collection[str], found: Collection[str], source: Path, other: Path) -> None:
    """Raise an `InferenceError` unless ``other`` names the same images as ``source``."""
    missing, extra = sorted(set(expected) - set(found)), sorted(set(found) - set(expected))
    if missing or extra:
        lacking = [f"lacks {len(missing)} images of {source} ({first_few(missing)})"] if missing else []
        further = [f"has {len(extra)} others ({first_few(extra)})"] if extra else []
        raise InferenceError(f"{other} {' and '.join([*lacking, *further])}: both must name the same images")


def samples_of(competition: Competition, ids: Sequence[str]) -> dict[str, Sample]:
    """id -> sample, for ids of one split.

    Raises:
        InferenceError: an id that is not an image of that split.
    """
    # Split by split: a competition may use the same names in both.
    for split in ("test", "train"):
        samples = competition.samples(split).by_id
        if set(ids) <= samples.keys():
            return {image_id: samples[image_id] for image_id in ids}
    raise InferenceError(
        f"there are ids that are not images of one split of {competition.root}, such as "
        f"{next((i for i in ids if i not in samples), ids[0])}: give masks of its test or of its training images"
    )
