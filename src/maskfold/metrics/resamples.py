"""Scores of many sets of statistics on the same resamples of their images, at the price of one matrix product."""

from collections.abc import Iterator, Sequence

import numpy as np

from maskfold.metrics.arrays import ratio
from maskfold.metrics.bootstrap import CHUNK_VALUES, REPEATS, SEED, Groups, percentiles, resamples
from maskfold.metrics.competition import CompetitionMetric

COPIES = 20  # of an image of mean weight, where a score needs whole images


def resampled_scores(
    metric: CompetitionMetric, sets: Sequence[np.ndarray], *, groups: Groups | None = None
) -> np.ndarray:
    """The score of each set on the resamples that `bootstrap_interval` and `paired_bootstrap` draw by default.

    A mean over images, or a score of sums over them, follows from how often a resample holds each image: one product of
    these counts with all sets. Another score is computed resample by resample.

    Args:
        metric: what scores.
        sets: each (n, k), of the same images in the same order.
        groups: of the images, see `bootstrap_interval`.

    Returns:
        float64 (len(sets), 1000), a column for each resample; NaN where one has no score, and everywhere where there
        is a single image or group.
    """
    count = len(sets[0])
    if count < 2 or (groups is not None and len(set(groups)) < 2):
        return np.full((len(sets), REPEATS), np.nan)
    drawn = resamples(count, REPEATS, SEED, groups, max(1, CHUNK_VALUES // count))
    if metric.of_sums:
        return _of_sums(metric, sets, _counts(drawn, count))
    if type(metric).score is CompetitionMetric.score:
        return _of_means(metric, sets, _counts(drawn, count))
    chunks = [[np.asarray(metric.score(stats[rows]), float) for stats in sets] for rows in drawn]
    return np.concatenate([np.stack(chunk) for chunk in chunks], axis=1)


def weighted_score(
    metric: CompetitionMetric,
    stats: np.ndarray,
    weights: np.ndarray,
    *,
    groups: Groups | None = None,
    repeats: int = REPEATS,
) -> tuple[float, float, float]:
    """The score of images that count more or less, and its 95 % bootstrap interval (NaN of a single image or group).

    A score that is neither a mean over images nor one of sums is that of images repeated by their weights. Resamples
    of images without weight have no score and are left out.

    Args:
        metric: what scores.
        stats: (n, k), a row per image.
        weights: (n,) how much each image counts, not negative, with a sum above 0.
        groups: of the images, see `bootstrap_interval`.
        repeats: resamples.
    """
    count, weights = len(stats), np.asarray(weights, float)

    def score(counts: Iterator[np.ndarray]) -> np.ndarray:
        scaled = (chunk * weights for chunk in counts)
        if metric.of_sums:
            return _of_sums(metric, [stats], scaled)[0]
        if type(metric).score is CompetitionMetric.score:
            return _of_means(metric, [stats], scaled)[0]
        rows = (row for chunk in scaled for row in chunk)
        return np.array([float(metric.score(stats[_repeated(row)])) if row.any() else np.nan for row in rows])

    own = float(score(iter([np.ones((1, count))]))[0])
    if count < 2 or (groups is not None and len(set(groups)) < 2):
        return own, float("nan"), float("nan")
    drawn = resamples(count, repeats, SEED, groups, max(1, CHUNK_VALUES // count))
    return own, *percentiles(score(_counts(drawn, count)))


def _repeated(weights: np.ndarray) -> np.ndarray:
    """Rows repeated by their weights, `COPIES` times as many as there are, each rounded up or down.

    The weights have a sum above 0. Systematic sampling.
    """
    ends = np.cumsum(weights)
    drawn = COPIES * len(weights)
    places = (np.arange(drawn) + 0.5) * (ends[-1] / drawn)
    return np.searchsorted(ends, places, side="right").clip(0, len(weights) - 1)


def _of_means(metric: CompetitionMetric, sets: Sequence[np.ndarray], counts: Iterator[np.ndarray]) -> np.ndarray:
    values = np.stack([metric.per_image(stats) for stats in sets], axis=1)
    there = ~np.isnan(values)
    filled = np.where(there, values, 0.0)
    whole = bool(there.all())
    parts = [
        ratio(chunk @ filled, chunk.sum(1, keepdims=True) + np.zeros(len(sets)) if whole else chunk @ there)
        for chunk in counts
    ]
    return np.concatenate(parts).T


def _of_sums(metric: CompetitionMetric, sets: Sequence[np.ndarray], counts: Iterator[np.ndarray]) -> np.ndarray:
    columns = np.nan_to_num(np.concatenate(sets, axis=1))  # an image without a valid pixel adds nothing
    sums = np.concatenate([chunk @ columns for chunk in counts]).reshape(-1, len(sets), sets[0].shape[1])
    return np.stack([np.asarray(metric.score(sums[:, place, None]), float) for place in range(len(sets))])


def _counts(drawn: Iterator[np.ndarray], n: int) -> Iterator[np.ndarray]:
    """How often each resample holds each image, float64 (r, n)."""
    for rows in drawn:
        places = rows + np.arange(len(rows))[:, None] * n
        yield np.bincount(places.ravel(), minlength=len(rows) * n).reshape(len(rows), n).astype(float)
