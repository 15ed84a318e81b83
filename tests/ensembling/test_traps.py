"""Choices that gain by chance or on one fold alone are refused, and what really gains beside them is kept."""

import cv2
import numpy as np
import pytest
from tests.drawn_runs import dice, make_run

from maskfold.config import override
from maskfold.ensembling.traps import Trial
from maskfold.labels import LabelSpec
from maskfold.metrics import build_metric
from maskfold.steps.tune import describe

STEPS = """
import cv2
import numpy as np

from maskfold.inference.decoding import Step


class Dilate(Step):
    stage = "mask"
    tried = {"radius": (0, 2)}

    def __init__(self, radius=0):
        self.radius = radius

    def __call__(self, layers, image):
        return cv2.dilate(layers, np.ones((2 * self.radius + 1,) * 2, np.uint8))


class Edges(Step):
    stage = "mask"
    tried = {"width": (0, 1)}

    def __init__(self, width=0):
        self.width = width

    def __call__(self, layers, image):
        kept = np.zeros_like(layers)
        inside = tuple(slice(self.width, length - self.width) for length in layers.shape)
        kept[inside] = layers[inside]
        return kept
"""
SQUARE = np.ones((5, 5), np.uint8)


def without_edges(mask):
    kept = np.zeros_like(mask)
    kept[1:-1, 1:-1] = mask[1:-1, 1:-1]
    return kept


def dilation_trap(truth, public, rng):
    """On the public images the masks are too small by two pixels; elsewhere they are right."""
    return {n: cv2.erode(mask, SQUARE) if n in public else mask for n, mask in truth.items()}


def edge_trap(truth, public, rng):
    """On two public images the frame is predicted too; elsewhere what is at the edge is right."""
    framed = rng.choice(sorted(n for n in public if truth[n].any()), 2, replace=False)
    return {n: np.maximum(mask, 1 - without_edges(np.ones_like(mask))) if n in framed else mask
            for n, mask in truth.items()}  # fmt: skip


TRAPS = {"Dilate": (dilation_trap, lambda mask: cv2.dilate(mask, SQUARE)), "Edges": (edge_trap, without_edges)}


@pytest.mark.parametrize("name", TRAPS)
@pytest.mark.parametrize("seed", range(5))
def test_traps_of_the_public_board_are_refused(name, seed, config, competition, truth, tmp_path, monkeypatch):
    from maskfold.ensembling.tune import tune

    (tmp_path / "trap_steps.py").write_text(STEPS)
    monkeypatch.syspath_prepend(tmp_path)
    rng = np.random.default_rng(seed)
    names = rng.permutation(sorted(truth)).tolist()
    valid = {0: names[:10], 1: names[10:14], 2: names[14:]}
    plant, step = TRAPS[name]
    masks = plant(truth, set(valid[0]), rng)
    gains = {n: dice(step(masks[n]), truth[n]) - dice(masks[n], truth[n]) for n in truth}
    assert np.mean([gains[n] for n in valid[0]]) > 0.01, "tempting on the public images"
    assert np.mean([gains[n] for fold in (1, 2) for n in valid[fold]]) < 0, "and a loss on the others"
    maps = {fold: {n: (0.1 + 0.25 * masks[n])[None].astype(np.float32) for n in ids} for fold, ids in valid.items()}
    keys = {"tune.tried": {"threshold": [0.3, 0.5], "fill_holes": [0], "min_area": [0]}}
    config = override(config, {**keys, "post.steps": {f"trap_steps:{name}": {}}})
    choice = tune([make_run(tmp_path, "a", config, {"best": maps}, valid)], competition, config)
    assert choice.post.threshold == 0.3, "what gains on all folds is kept"
    assert choice.post.steps == {f"trap_steps:{name}": {}}
    assert choice.scores["after"] == pytest.approx(np.mean([dice(masks[n], truth[n]) for n in truth]))
    refused = [each for each in choice.refused if name in each.name]
    if np.mean(list(gains.values())) > 0:  # else nobody would take it even in sample
        assert [each.gain <= each.error or each.others <= 0 for each in refused] == [True]
        told = describe(choice, competition.labels, config.post)
        assert f"gain {refused[0].gain:+.4f}, standard error {refused[0].error:.4f}" in told


def rows(scores):
    """Statistics of the metric dice, which are counts, of images that score so."""
    scores = np.asarray(scores, float)
    return np.stack([scores, 1 - scores, 1 - scores], 1) * 1000


@pytest.mark.parametrize(
    ("gains", "kept"),
    [
        ([0.02, 0.03, 0.02, 0.01, 0.03, 0.02], True),
        ([0.30, 0.00, 0.00, 0.00, 0.00, 0.00], False),  # one image's: below its standard error
        ([0.10, 0.12, 0.11, 0.09, 0.00, 0.00], True),
        ([0.10, 0.12, 0.00, 0.00, 0.00, 0.00], False),  # one fold's
        ([0.10, 0.12, -0.01, 0.005, -0.01, 0.005], False),
        ([0.05, -0.04, 0.05, -0.04, 0.05, -0.04], False),
    ],
)
def test_by_hand(gains, kept):
    before = np.array([0.5, 0.6, 0.7, 0.55, 0.65, 0.6])
    trial = Trial(build_metric("dice", LabelSpec("binary", ("roof",))), np.array([0, 0, 1, 1, 2, 2]))
    found = trial("threshold", rows(before), rows(before + gains))
    assert (found is None) == kept
    # The standard error of a mean of differences, by its formula.
    expected = np.std(gains) / np.sqrt(len(gains))
    assert trial.standard_error(rows(before), rows(before + gains)) == pytest.approx(expected, rel=0.08, abs=1e-9)
    if found is not None:
        means = np.reshape(gains, (3, 2)).mean(1)
        assert found.gain == pytest.approx(np.mean(gains), abs=1e-9)
        assert found.others == pytest.approx(np.delete(means, means.argmax()).mean(), abs=1e-9)


def test_images_of_a_group_count_once():
    """Six images of two scenes: by images the gain is sure, by scenes it is one scene's."""
    metric, parts = build_metric("dice", LabelSpec("binary", ("roof",))), np.array([0, 1, 0, 1, 0, 1])
    before, gains = np.full(6, 0.5), np.array([0.1, 0.1, 0.1, -0.02, -0.02, -0.02])
    stats = rows(before), rows(before + gains)
    scenes = ["a", "a", "a", "b", "b", "b"]
    assert Trial(metric, parts)("x", *stats) is None
    refused = Trial(metric, parts, scenes)("x", *stats)
    assert refused is not None
    assert refused.error == pytest.approx(0.06 / np.sqrt(2), rel=0.1)
