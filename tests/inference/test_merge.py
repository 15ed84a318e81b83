import math

import pytest
import torch

from maskfold.errors import InferenceError
from maskfold.inference.merge import MERGES, build_merge, normalised_weights
from maskfold.labels import LabelSpec

BINARY = LabelSpec("binary", ("roof",))
CLASSES = LabelSpec("multiclass", ("a", "b", "c", "d", "e"))


def merged(kind, logits, weights, labels=BINARY):
    merge = build_merge(kind, labels)
    return merge.finish(sum(merge.vote(one) * weight for one, weight in zip(logits, weights, strict=True)))


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


def test_binary_merges_by_their_formulas():
    values = [-3.0, 0.5, 4.0]
    logits = [torch.full((1, 1, 1, 1), value) for value in values]
    weights = [0.2, 0.5, 0.3]
    mean = sum(w * v for w, v in zip(weights, values, strict=True))
    assert merged("logits", logits, weights).item() == pytest.approx(sigmoid(mean), rel=1e-5)
    expected = sum(w * sigmoid(v) for w, v in zip(weights, values, strict=True))
    assert merged("probabilities", logits, weights).item() == pytest.approx(expected, rel=1e-5)
    assert merged("vote", logits, weights).item() == pytest.approx(0.8, rel=1e-5)


def test_a_probability_of_exactly_one_half_is_a_vote():
    assert build_merge("vote", BINARY).vote(torch.zeros(1, 1, 1, 1)).item() == 1
    assert build_merge("vote", BINARY).vote(torch.full((1, 1, 1, 1), -1e-6)).item() == 0


def test_multi_class_merges_by_their_formulas():
    logits = torch.randn(4, 2, 5, 3, 2, generator=torch.Generator().manual_seed(0)) * 3
    weights = [0.1, 0.4, 0.2, 0.3]
    exact = logits.double().numpy()

    def softmax(x):
        e = torch.from_numpy(x).exp().numpy()
        return e / e.sum(axis=1, keepdims=True)

    by_hand = {
        "probabilities": sum(w * softmax(x) for w, x in zip(weights, exact, strict=True)),
        "logits": softmax(sum(w * x for w, x in zip(weights, exact, strict=True))),
        "vote": sum(w * (x == x.max(axis=1, keepdims=True)).astype(float) for w, x in zip(weights, exact, strict=True)),
    }
    for kind, expected in by_hand.items():
        result = merged(kind, list(logits), weights, CLASSES)
        torch.testing.assert_close(result.double(), torch.from_numpy(expected), rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(result.sum(1), torch.ones(2, 3, 2))


def test_the_merges_differ():
    logits = [torch.full((1, 1, 1, 1), -8.0), torch.full((1, 1, 1, 1), 1.0)]
    results = {kind: merged(kind, logits, [0.5, 0.5]).item() for kind in MERGES}
    assert results["probabilities"] - results["logits"] > 0.3
    assert results["vote"] == 0.5


def test_weights_are_normalised():
    assert normalised_weights(None, 4) == [0.25] * 4
    assert normalised_weights([1, 3, 0], 3) == [0.25, 0.75, 0.0]


@pytest.mark.parametrize("weights", [[1.0], [1.0, -1.0], [0.0, 0.0], [1.0, math.nan], [1.0, math.inf], []])
def test_weights_that_mean_nothing_are_refused(weights):
    with pytest.raises(InferenceError, match="the weights of 2 checkpoints are"):
        normalised_weights(weights, 2)
