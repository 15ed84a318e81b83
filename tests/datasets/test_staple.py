"""STAPLE against the article's formulas written out pixel by pixel, and on annotators whose reliability is known."""

import numpy as np
import pytest

from maskfold.datasets.staple import staple


def slow_binary(decisions, steps=400):
    """Warfield et al. 2004, equations 14, 18 and 19: W, p and q, with a loop over pixels and annotators."""
    annotators, pixels = decisions.shape
    prior = sum(int(d) for row in decisions for d in row) / (annotators * pixels)
    p, q = [0.99999] * annotators, [0.99999] * annotators
    for _ in range(steps):
        weights = []
        for i in range(pixels):
            a, b = prior, 1 - prior
            for j in range(annotators):
                a *= p[j] if decisions[j][i] else 1 - p[j]
                b *= 1 - q[j] if decisions[j][i] else q[j]
            weights.append(a / (a + b))
        p = [sum(w for w, d in zip(weights, row, strict=True) if d) / sum(weights) for row in decisions]
        q = [
            sum(1 - w for w, d in zip(weights, row, strict=True) if not d) / sum(1 - w for w in weights)
            for row in decisions
        ]
    return np.array(weights), np.array(p), np.array(q)


def slow_classes(decisions, classes, steps=150):
    """The form for several classes, section II-D; annotators who did not decide (-1) say nothing of a pixel."""
    annotators, pixels = decisions.shape
    known = [d for row in decisions for d in row if d >= 0]
    prior = [known.count(s) / len(known) for s in range(classes)]
    wrong = (1 - 0.99999) / (classes - 1)
    theta = [[[0.99999 if a == b else wrong for b in range(classes)] for a in range(classes)] for _ in decisions]
    for _ in range(steps):
        weights = []
        for i in range(pixels):
            w = list(prior)
            for j in range(annotators):
                if decisions[j][i] >= 0:
                    w = [w[s] * theta[j][decisions[j][i]][s] for s in range(classes)]
            weights.append([value / sum(w) for value in w])
        for j in range(annotators):
            seen = [i for i in range(pixels) if decisions[j][i] >= 0]
            for s in range(classes):
                total = sum(weights[i][s] for i in seen)
                for a in range(classes):
                    theta[j][a][s] = sum(weights[i][s] for i in seen if decisions[j][i] == a) / total
    return np.array(weights).T, np.array(theta)


def drawn(truth, reliability, seed, classes=2):
    """Annotators who are right with the given probabilities, one per true class, and else choose another class."""
    rng = np.random.default_rng(seed)
    found = []
    for own in reliability:
        right = rng.random(truth.shape) < np.array(own)[truth]
        found.append(np.where(right, truth, (truth + rng.integers(1, classes, truth.shape)) % classes))
    return np.stack(found)


def scene(size, seed=0):
    truth = np.zeros(size, int)
    truth[size[0] // 5 : size[0] // 2, size[1] // 4 :] = 1
    return truth


@pytest.mark.parametrize("annotators", [3, 5])
def test_binary_masks_as_in_the_article(annotators):
    reliability = [(0.95, 0.8), (0.9, 0.6), (0.99, 0.9), (0.7, 0.9), (0.85, 0.75)][:annotators]
    decisions = drawn(scene((9, 14)), reliability, 3)
    weights, p, q = slow_binary(decisions.reshape(annotators, -1))
    found = staple(decisions, 2)
    assert found.posterior.shape == (2, 9, 14)
    assert found.posterior.dtype == np.float32
    assert found.posterior[1].ravel() == pytest.approx(weights, abs=2e-5)
    assert found.performance[:, 1, 1] == pytest.approx(p, abs=2e-5)
    assert found.performance[:, 0, 0] == pytest.approx(q, abs=2e-5)
    assert np.unique(weights.round(3)).size > annotators, "not a majority"


def test_several_classes_and_pixels_that_some_left_out():
    truth = (np.arange(15)[None] // 4 + np.arange(11)[:, None] // 6) % 3
    decisions = drawn(truth, [(0.9, 0.8, 0.7), (0.95, 0.6, 0.9), (0.8, 0.9, 0.9), (0.7, 0.7, 0.8)], 4, classes=3)
    decisions[0, :4] = -1
    decisions[2, 3:6, 5:] = -1
    weights, theta = slow_classes(decisions.reshape(4, -1), 3)
    found = staple(decisions, 3)
    assert found.posterior.reshape(3, -1) == pytest.approx(weights, abs=1e-4)
    assert found.performance == pytest.approx(theta, abs=1e-4)
    assert found.posterior.sum(0) == pytest.approx(1, abs=1e-6)
    assert found.performance.sum(1) == pytest.approx(1, abs=1e-6)


def test_known_reliability_is_found():
    truth = scene((160, 210))
    specificity, sensitivity = (0.98, 0.9, 0.995, 0.97), (0.9, 0.95, 0.5, 0.7)
    decisions = drawn(truth, list(zip(specificity, sensitivity, strict=True)), 5)
    found = staple(decisions, 2)
    assert found.performance[:, 1, 1] == pytest.approx(sensitivity, abs=0.02)
    assert found.performance[:, 0, 0] == pytest.approx(specificity, abs=0.01)
    # A probability: of pixels with about 0.8, some 80 % are foreground.
    for low, high in ((0.0, 0.1), (0.1, 0.9), (0.9, 1.01)):
        here = (found.posterior[1] >= low) & (found.posterior[1] < high)
        assert truth[here].mean() == pytest.approx(found.posterior[1][here].mean(), abs=0.05)


def test_two_who_are_right_outvote_three_who_guess():
    truth = scene((60, 70))
    good = drawn(truth, [(0.995, 0.99), (0.99, 0.995)], 6)
    poor = drawn(truth, [(0.6, 0.6), (0.55, 0.6), (0.6, 0.55)], 7)
    decisions = np.concatenate([poor, good])
    assert np.mean((staple(decisions, 2).posterior[1] > 0.5) != truth) < 0.012
    assert np.mean((decisions.mean(0) > 0.5) != truth) > 0.05


def test_agreement_is_certain_and_nothing_said_is_nothing():
    truth = scene((12, 17))
    for annotators in (1, 3):
        found = staple(np.stack([truth] * annotators), 2).posterior
        assert found == pytest.approx(np.stack([1 - truth, truth]), abs=1e-4)
    found = staple(np.stack([truth] * 2), 3).posterior
    assert found == pytest.approx(np.stack([1 - truth, truth, 0 * truth]), abs=1e-4)
    empty = staple(np.zeros((3, 5, 8), int), 2)
    assert np.array_equal(empty.posterior, np.stack([np.ones((5, 8)), np.zeros((5, 8))]))
    nothing = staple(np.full((2, 5, 8), -1), 2)
    assert not nothing.posterior.any()
    assert np.isfinite(nothing.performance).all()
    holed = np.stack([truth] * 2)
    holed[:, 3:5] = -1
    posterior = staple(holed, 2).posterior
    assert not posterior[:, 3:5].any()
    assert posterior.sum(0)[5:] == pytest.approx(1)
