"""STAPLE: what is true, and how reliable each annotator is, estimated from each other by expectation-maximisation.

Warfield, Zou & Wells, Simultaneous Truth and Performance Level Estimation (STAPLE), IEEE Transactions on Medical
Imaging 23(7), 2004: the form for binary masks, and that for exclusive classes, which for two classes is the same.
"""

from typing import NamedTuple

import numpy as np
import pandas as pd

# The article's start: everybody is nearly always right.
RIGHT = 0.99999
STEPS = 200
TOLERANCE = 1e-7


class Staple(NamedTuple):
    """Estimates for one image.

    Attributes:
        posterior: float32 (K, H, W), the probability of each class; 0 for all of them where nobody decided.
        performance: float64 (R, K, K), ``[r, decided, true]``: how often annotator r decides for a class where another
            is true. Of a binary mask ``[r, 1, 1]`` is the sensitivity and ``[r, 0, 0]`` the specificity.
    """

    posterior: np.ndarray
    performance: np.ndarray


def staple(decisions: np.ndarray, classes: int) -> Staple:
    """The STAPLE estimate of one image.

    The prior of a class is the share of all decisions that are for it, the same everywhere; it is not estimated again.
    Pixels on which all annotators decided alike have the same posterior, so each such pattern is computed once.

    Args:
        decisions: integers (R, H, W), for which class each of R annotators decided; -1: for none, which says nothing.
        classes: K. Classes exclude each other; of those that overlap each is estimated by itself, with K = 2.
    """
    annotators, *size = decisions.shape
    patterns, place, pixels = _patterns(decisions.reshape(annotators, -1), classes)
    decided = np.arange(classes) == patterns[..., None]  # (R, P, K)
    votes = np.einsum("rpk,p->k", decided, pixels)
    prior = votes / votes.sum() if votes.any() else np.full(classes, 1 / classes)
    wrong = (1 - RIGHT) / (classes - 1)
    performance = np.repeat(np.where(np.eye(classes, dtype=bool), RIGHT, wrong)[None], annotators, 0)
    posterior = _expected(patterns, prior, performance)
    for _ in range(STEPS):
        performance = _maximised(decided, posterior * pixels, performance)
        before, posterior = posterior, _expected(patterns, prior, performance)
        if np.abs(posterior - before).max(initial=0) < TOLERANCE:
            break
    posterior[:, (patterns < 0).all(0)] = 0
    return Staple(posterior[:, place].reshape(classes, *size).astype(np.float32), performance)


def _patterns(decisions: np.ndarray, classes: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The different columns of (R, N), (R, P); which of them each pixel has, (N,); how many pixels have it, (P,)."""
    place = np.zeros(decisions.shape[1], np.int64)
    for row in decisions:
        place = pd.factorize(place * (classes + 1) + row + 1)[0]
    pixels = np.bincount(place)
    example = np.empty(pixels.size, np.int64)
    example[place] = np.arange(place.size)
    return decisions[:, example].astype(np.int64), place, pixels


def _expected(patterns: np.ndarray, prior: np.ndarray, performance: np.ndarray) -> np.ndarray:
    """E step: (K, P), the probability that each class is true, of the prior and of what all annotators decided."""
    with np.errstate(divide="ignore"):
        logarithm = np.repeat(np.log(prior)[:, None], patterns.shape[1], 1)
        for row, own in zip(patterns, np.log(performance), strict=True):
            logarithm += np.where(row < 0, 0.0, own[row].T)
    likelihood = np.exp(logarithm - logarithm.max(0, initial=-np.inf))
    return likelihood / likelihood.sum(0)


def _maximised(decided: np.ndarray, weight: np.ndarray, before: np.ndarray) -> np.ndarray:
    """M step: (R, K, K), of the decisions (R, P, K) and the pixels (K, P) that each class is expected to have.

    An annotator who decided on no pixel of a class keeps what was assumed.
    """
    counts = np.einsum("rpk,cp->rkc", decided, weight)
    total = counts.sum(1, keepdims=True)
    return np.where(total > 0, counts / np.where(total > 0, total, 1), before)
