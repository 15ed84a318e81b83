"""What is counted of runs is what is counted of pixels."""

import numpy as np
import pytest

from maskfold.labels import Label, LabelSpec
from maskfold.metrics import build_metric
from maskfold.metrics.build import METRICS
from maskfold.metrics.competition import CountedMetric
from maskfold.rle import Runs
from maskfold.scoring.run_lengths import counts_of_runs, differing_pixels, foreground_pixels, runs_agreement

TASKS = {
    "binary": LabelSpec("binary", ("roof",)),
    "multiclass": LabelSpec("multiclass", ("ground", "roof", "road", "tree")),
    "multilabel": LabelSpec("multilabel", ("fish", "flower", "sugar")),
}


def draw(labels, seed):
    """Two masks of 9 x 14 pixels; one class is in neither, and every third time one mask is empty."""
    rng = np.random.default_rng(seed)
    shape = labels.mask_shape((9, 14))
    if labels.task == "multiclass":
        pair = rng.integers(0, 3, (2, *shape), np.uint8)
    else:
        pair = rng.integers(0, 2, (2, *shape), np.uint8)
        if labels.task == "multilabel":
            pair[:, 2] = 0
    if seed % 3 == 0:
        pair[seed % 2] = 0
    return pair if seed else 0 * pair


def layers_of(labels, mask, order="F"):
    return [Runs.of_mask(layer, order) for layer in labels.layers(mask)]


CASES = [(task, seed) for task in TASKS for seed in range(8)]


@pytest.mark.parametrize(("task", "seed"), CASES)
def test_agreement(task, seed):
    labels = TASKS[task]
    a, b = draw(labels, seed)
    one, two = (layers_of(labels, mask, "FC"[seed % 2]) for mask in (a, b))
    apart = (labels.layers(a) != labels.layers(b)).any(0)
    assert differing_pixels(one, two) == np.count_nonzero(apart)
    there = labels.layers(a)[1:] if task == "multiclass" else labels.layers(a)
    assert foreground_pixels(labels, one) == np.count_nonzero(there.any(0))
    ratios = [
        2 * (p & q).sum() / (p.sum() + q.sum())
        for p, q in zip(labels.layers(a), labels.layers(b), strict=True)
        if (p | q).any()
    ]
    assert runs_agreement(one, two) == (np.mean(ratios) if ratios else 1.0)


@pytest.mark.parametrize(("task", "seed"), CASES)
@pytest.mark.parametrize("name", [name for name, kind in METRICS.items() if issubclass(kind, CountedMetric)])
def test_the_metrics_statistics_are_the_same(name, task, seed):
    labels = TASKS[task]
    if task not in METRICS[name].tasks:
        pytest.skip("not of this task")
    metric = build_metric(name, labels, {"beta": 0.5} if "beta" in name else None)
    a, b = draw(labels, seed)
    counts = counts_of_runs(labels, layers_of(labels, a), layers_of(labels, b))
    np.testing.assert_array_equal(metric.stats_of_counts(counts), metric.image_stats(a, Label.whole(b)))
