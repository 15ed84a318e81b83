"""How sure a score is, and a difference of two scores: the percentile bootstrap over images.

Source: Efron & Tibshirani, An Introduction to the Bootstrap (1993), chapter 13.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy.special import ndtri, stdtrit

from maskfold.errors import MaskfoldError

Score = Callable[[np.ndarray], np.ndarray | float]  # `CompetitionMetric.score`
Groups = Sequence[Any] | np.ndarray  # a label of each image
# An interval over fewer says little: a coin shows the same side five times in a row in one of sixteen trials.
FEWEST_GROUPS = 6
REPEATS, SEED = 1000, 0  # of the resamples, where nobody asks for others
CHUNK_VALUES = 1_000_000  # statistics gathered at once: 8 MB, whatever the number of images and repeats


class PairedResult(NamedTuple):
    """score(a) - score(b), its interval, and the share of resamples where a is better (a tie counts half)."""

    difference: float
    low: float
    high: float
    share_better: float


def bootstrap_interval(
    stats: np.ndarray,
    score: Score,
    *,
    confidence: float = 0.95,
    repeats: int = REPEATS,
    seed: int = SEED,
    groups: Groups | None = None,
) -> tuple[float, float]:
    """(low, high) of the score over sets of images drawn with replacement; the same for the same seed.

    stats: (n, k), one row per image. score: (..., n, k) -> (...), as `CompetitionMetric.score`.
    groups: n labels; images of one scene share one and are drawn together, so that their likeness does not
        make the interval too narrow.
    Resamples without a score (nan) are left out; (nan, nan) when all are, and of a single image or group, which says
    nothing about others.
    Raises MaskfoldError for no images, for groups of another length and for a score of another shape.
    """
    _check_confidence(confidence)
    drawn = _bootstrap((np.asarray(stats),), score, repeats, seed, groups)[0]
    return percentiles(drawn, confidence)


def paired_bootstrap(
    stats_a: np.ndarray,
    stats_b: np.ndarray,
    score: Score,
    *,
    confidence: float = 0.95,
    repeats: int = REPEATS,
    seed: int = SEED,
    groups: Groups | None = None,
    trials: Groups | None = None,
) -> PairedResult:
    """Is a better than b on the same images? Row i of both is image i, and every resample draws it for both.

    An image that is hard for both cancels: a difference shows that two separate intervals would hide.
    Arguments and errors as in `bootstrap_interval`, and

    trials: n further labels, such as the seed of the training that a row comes from, where an image has a row of each
        trial and its group's label in all of them. They are drawn with replacement too, whatever images are drawn, so
        that the interval is over both (Owen, "The pigeonhole bootstrap", Annals of Applied Statistics 2007), and the
        fewer they are, and the more they differ, the wider it is. With one trial it is that of the images.
    """
    _check_confidence(confidence)
    stats_a, stats_b = np.asarray(stats_a), np.asarray(stats_b)
    if stats_a.shape != stats_b.shape:
        raise MaskfoldError(f"the statistics are {stats_a.shape} and {stats_b.shape}: expected the same images")
    drawn_a, drawn_b = _bootstrap((stats_a, stats_b), score, repeats, seed, groups, trials)
    difference, found = drawn_a - drawn_b, float(score(stats_a) - score(stats_b))
    difference = difference[~np.isnan(difference)]
    if trials is not None and len(set(trials)) > 1:
        of_each = [np.flatnonzero(np.asarray(trials) == trial) for trial in dict.fromkeys(trials)]
        alone = np.array([score(stats_a[rows]) - score(stats_b[rows]) for rows in of_each], float)
        difference = found + _few_trials_factor(difference, alone, confidence) * (difference - found)
    share = float(np.mean((np.sign(difference) + 1) / 2)) if len(difference) else float("nan")
    return PairedResult(found, *percentiles(difference, confidence), share)


def _few_trials_factor(drawn: np.ndarray, alone: np.ndarray, confidence: float) -> float:
    """By how much resampled differences must be further from the difference, given that of each trial ``alone``.

    Resamples of T trials vary by (T - 1) / T of their variance, and this variance is itself known from T values only:
    Student's t has the degrees of freedom of Satterthwaite, Biometrics Bulletin 2 (1946), images being many.
    """
    count = len(alone)
    of_trials, seen = float(alone.var(ddof=1)) / count, float(drawn.var()) if len(drawn) else 0.0
    if not of_trials > 0 or not seen > 0:
        return 1.0
    whole = max(0.0, seen - of_trials * (count - 1) / count) + of_trials
    freedom, end = (count - 1) * (whole / of_trials) ** 2, (1 + confidence) / 2
    return float(stdtrit(freedom, end) / ndtri(end) * np.sqrt(whole / seen))


def _bootstrap(
    sets: tuple[np.ndarray, ...],
    score: Score,
    repeats: int,
    seed: int,
    groups: Groups | None,
    trials: Groups | None = None,
) -> np.ndarray:
    """Scores (len(sets), repeats) of shared resamples."""
    if sets[0].ndim != 2 or not len(sets[0]):
        raise MaskfoldError(f"the statistics are {sets[0].shape}, expected (n, k) with at least one image")
    if repeats < 1:
        raise MaskfoldError(f"repeats is {repeats}, expected at least 1")
    n = len(sets[0])
    if n == 1 or (groups is not None and len(groups) == n and len(set(groups)) == 1):
        return np.full((len(sets), 1), np.nan)
    if trials is not None and len(set(trials)) > 1:
        if groups is None or not len(groups) == len(trials) == n:
            raise MaskfoldError(f"with several trials, groups and trials need one label for each of the {n} rows")
        draws = _draw_crossed(groups, trials, repeats, np.random.default_rng(seed))
    else:
        draws = resamples(n, repeats, seed, groups, max(1, CHUNK_VALUES // sets[0].size))
    return np.concatenate([_score_rows(sets, rows, score) for rows in draws], axis=1)


def resamples(n: int, repeats: int, seed: int, groups: Groups | None, chunk: int) -> Iterator[np.ndarray]:
    """Row numbers of ``n`` images, (r, m), some resamples at a time: ``chunk`` of images, one of groups.

    Raises:
        MaskfoldError: groups of another number.
    """
    rng = np.random.default_rng(seed)
    if groups is None:
        return _draw_images(n, repeats, chunk, rng)
    if len(groups) != n:
        raise MaskfoldError(f"there are {len(groups)} groups for {n} images: expected one label per image")
    return _draw_groups(groups, repeats, rng)


def _draw_images(n: int, repeats: int, chunk: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Row numbers (r, n), r resamples at a time; the draws do not depend on the chunk."""
    for start in range(0, repeats, chunk):
        yield rng.integers(n, size=(min(chunk, repeats - start), n))


def _draw_groups(groups: Groups, repeats: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Row numbers (1, m), one resample at a time, as m differs between them."""
    codes = np.unique(np.asarray(groups), return_inverse=True)[1]
    members = np.split(np.argsort(codes, kind="stable"), np.cumsum(np.bincount(codes))[:-1])
    for _ in range(repeats):
        yield np.concatenate([members[g] for g in rng.integers(len(members), size=len(members))])[None]


def _draw_crossed(groups: Groups, trials: Groups, repeats: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Row numbers (1, m): the rows of the drawn groups in each of the drawn trials."""
    names, codes = np.unique(np.asarray(groups), return_inverse=True)
    of_trial = [np.flatnonzero(np.asarray(trials) == trial) for trial in dict.fromkeys(trials)]
    members = [[rows[codes[rows] == code] for code in range(len(names))] for rows in of_trial]
    for _ in range(repeats):
        drawn = rng.integers(len(names), size=len(names))
        chosen = rng.integers(len(members), size=len(members))
        yield np.concatenate([members[trial][group] for trial in chosen for group in drawn])[None]


def _score_rows(sets: tuple[np.ndarray, ...], rows: np.ndarray, score: Score) -> np.ndarray:
    scores = np.array([score(stats[rows]) for stats in sets], dtype=np.float64)
    if scores.shape != (len(sets), len(rows)):
        found, r = scores.shape[1:], len(rows)
        raise MaskfoldError(f"score gave the shape {found} for (r, n, k) with r = {r}, expected ({r},)")
    return scores


def percentiles(values: np.ndarray, confidence: float = 0.95) -> tuple[float, float]:
    """The interval that holds a share of the resampled values, those that are NaN left out; NaN where all are."""
    values = values[~np.isnan(values)]
    if not len(values):
        return float("nan"), float("nan")
    low, high = np.quantile(values, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)


def _check_confidence(confidence: float) -> None:
    if not 0 < confidence < 1:
        raise MaskfoldError(f"confidence is {confidence}, expected a share between 0 and 1 such as 0.95")
