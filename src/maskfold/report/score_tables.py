"""Tables made of scores and of what was seen: by coverage, by confidence, by run."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from maskfold.metrics import CompetitionMetric, bootstrap_interval, paired_bootstrap

COVERAGE_BINS = 4
CONFIDENCE_BINS = 10


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


def calibration_table(levels: np.ndarray) -> pd.DataFrame:
    """Ten equal bins of confidence, those without a pixel left out: low, high, pixels, predicted, observed.

    Args:
        levels: (256, 2) counts, see `maskfold.report.pixels.Survey`.
    """
    highest = len(levels) - 1
    confidence = np.arange(len(levels)) / highest
    bins = np.minimum(np.arange(len(levels)) * CONFIDENCE_BINS // highest, CONFIDENCE_BINS - 1)
    pixels, right = (np.bincount(bins, levels[:, column], CONFIDENCE_BINS) for column in (0, 1))
    total = np.bincount(bins, levels[:, 0] * confidence, CONFIDENCE_BINS)
    edges = np.arange(CONFIDENCE_BINS + 1) / CONFIDENCE_BINS
    there = pixels > 0
    return pd.DataFrame(
        {
            "low": edges[:-1][there],
            "high": edges[1:][there],
            "pixels": pixels[there].astype(np.int64),
            "predicted": total[there] / pixels[there],
            "observed": right[there] / pixels[there],
        }
    )


def calibration_error(table: pd.DataFrame) -> float:
    """Expected calibration error: mean over the pixels of |predicted - observed| of their bin.

    Source: Guo et al., On Calibration of Modern Neural Networks (ICML 2017), arXiv:1706.04599.
    """
    gaps = (table["predicted"] - table["observed"]).abs()
    return float((gaps * table["pixels"]).sum() / table["pixels"].sum())


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
