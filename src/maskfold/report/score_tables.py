"""Tables made of scores and of what was seen: by coverage, by confidence, by run."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from maskfold.metrics import CalibrationMetrics, CompetitionMetric, bootstrap_interval, paired_bootstrap

COVERAGE_BINS = 4


def coverage_table(coverage: np.ndarray, scores: np.ndarray) -> pd.DataFrame:
    """A row per bin of coverage: the empty masks, then quarters of the others by coverage.

    Columns: bin, low and high (shares), images, mean, median, lowest (scores; images without one are left
    out); and ``rows``, the row numbers of the bin's images.
    """
    scored = ~np.isnan(scores)
    bins = [("empty", np.flatnonzero(scored & (coverage == 0)))]
    filled = np.flatnonzero(scored & (coverage > 0))
    quarters = np.array_split(filled[np.argsort(coverage[filled], kind="stable")], COVERAGE_BINS)
    bins += [(_range(coverage[rows]), rows) for rows in quarters if len(rows)]
    return pd.DataFrame(
        {
            "bin": name,
            "low": coverage[rows].min(),
            "high": coverage[rows].max(),
            "images": len(rows),
            "mean": scores[rows].mean(),
            "median": np.median(scores[rows]),
            "lowest": scores[rows].min(),
            "rows": rows,
        }
        for name, rows in bins
        if len(rows)
    )


def calibration_table(metrics: CalibrationMetrics) -> pd.DataFrame:
    """A row per bin of probability, those without a pixel left out: low, high, pixels, predicted, observed.

    Of decisions where classes exclude each other, else of all classes' probabilities together.
    """
    rows = metrics.sums[:, -1] if metrics.labels.exclusive else metrics.sums[:, :-1].sum(1)
    pixels, total, right = rows[:, rows[0] > 0]
    edges, there = np.arange(metrics.bins + 1) / metrics.bins, rows[0] > 0
    return pd.DataFrame(
        {
            "low": edges[:-1][there],
            "high": edges[1:][there],
            "pixels": pixels.astype(np.int64),
            "predicted": total / pixels,
            "observed": right / pixels,
        }
    )


def run_table(
    names: Sequence[str], stats: Sequence[np.ndarray], metric: CompetitionMetric, groups: np.ndarray | None
) -> pd.DataFrame:
    """A row per run: name, score, low, high and, against the first run, difference, from, to, better.

    Intervals are 95 % bootstraps over images, or groups; ``better`` is the share of resamples in which the
    run scores above the first.
    """
    rows = []
    for name, own in zip(names, stats, strict=True):
        low, high = bootstrap_interval(own, metric.score, groups=groups)
        row = {"name": name, "score": float(metric.score(own)), "low": low, "high": high}
        if rows:
            against = paired_bootstrap(own, stats[0], metric.score, groups=groups)
            row |= {
                "difference": against.difference,
                "from": against.low,
                "to": against.high,
                "better": against.share_better,
            }
        rows.append(row)
    return pd.DataFrame(rows)


def failed_by_all(per_image: np.ndarray) -> np.ndarray:
    """Row numbers of images in the lowest tenth of every run, hardest first; per_image: (runs, n) scores.

    An image with the full score is not a failure, however many images have it.
    """
    count = max(1, per_image.shape[1] // 10)
    cuts = np.sort(per_image, axis=1)[:, count - 1 : count]
    failed = ((per_image <= cuts) & (per_image < 1)).all(0)
    rows = np.flatnonzero(failed)
    return rows[np.argsort(per_image[:, rows].max(0), kind="stable")]


def _range(coverage: np.ndarray) -> str:
    return f"{100 * coverage.min():.3g} to {100 * coverage.max():.3g} %"
