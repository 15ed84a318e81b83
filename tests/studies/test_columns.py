"""Figures from rows per image are those of the whole set."""

import numpy as np
import pytest

from maskfold.errors import MaskfoldError
from maskfold.labels import Label, LabelSpec
from maskfold.metrics import SegmentationMetrics
from maskfold.studies.columns import build_column

BINARY = LabelSpec("binary", ("building",))
CLASSES = LabelSpec("multiclass", ("sky", "tree", "car"))


def images(labels, seed=0):
    """Probabilities, masks and labels of images of different sizes, with pixels that do not count."""
    rng = np.random.default_rng(seed)
    for height, width in ((5, 7), (4, 3), (6, 6)):
        logits = rng.normal(size=(labels.channels, height, width))
        exclusive = labels.exclusive
        probability = (np.exp(logits) / np.exp(logits).sum(0) if exclusive else 1 / (1 + np.exp(-logits))).astype("f4")
        values = rng.integers(0, 3 if exclusive else 2, (height, width)).astype(np.uint8)
        yield probability, labels.decide(probability), Label(values, rng.random((height, width)) > 0.2)


def rows_of(column, labels):
    return np.stack([column.stats(*image) for image in images(labels)])


@pytest.mark.parametrize("labels", [BINARY, CLASSES], ids=["binary", "multiclass"])
def test_brier_score_is_that_of_all_pixels(labels):
    column = build_column("brier", labels)
    squares, pixels = 0.0, 0
    for probability, _, label in images(labels):
        truth = np.stack([label.values == number for number in range(3)]) if labels.exclusive else label.values[None]
        squares += ((probability.astype(float) - truth) ** 2).sum(0)[label.valid].sum()
        pixels += label.valid.sum()
    assert column.score(rows_of(column, labels)) == pytest.approx(squares / pixels)
    assert column.lower


def test_calibration_error_by_hand():
    column = build_column("ece", BINARY)
    # Confidences 0.9 (2 of 3 right) and 0.6 (1 of 1 right), one bin each: (3 |0.9 - 2/3| + |0.6 - 1|) / 4.
    probability = np.array([[[0.9, 0.9, 0.1, 0.6]]], np.float32)
    label = Label(np.array([[1, 0, 0, 1]], np.uint8), np.ones((1, 4), bool))
    rows = np.stack([column.stats(probability, BINARY.decide(probability), label)])
    assert column.score(rows) == pytest.approx((3 * (0.9 - 2 / 3) + 0.4) / 4)


def test_mean_iou_of_images_and_of_the_set_by_hand():
    truth = [np.array([[1, 1, 0, 0]], np.uint8), np.array([[0, 0, 0, 0]], np.uint8)]
    masks = [np.array([[1, 0, 0, 0]], np.uint8), np.array([[0, 0, 0, 1]], np.uint8)]
    of = {}
    for name in ("miou_d", "miou_i"):
        column = build_column(name, BINARY)
        every = np.ones((1, 4), bool)
        pairs = zip(masks, truth, strict=True)
        rows = np.stack([column.stats(np.zeros((1, 1, 4)), mask, Label(true, every)) for mask, true in pairs])
        of[name] = column.score(np.stack([rows, rows[::-1]]))
    # Background: 5 right, 1 missed, 1 too many; foreground: 1 right, 1 missed, 1 too many.
    assert of["miou_d"] == pytest.approx([(5 / 7 + 1 / 3) / 2] * 2)
    # First image: background 2/3, foreground 1/2; the second has no foreground in its label: background 3/4.
    assert of["miou_i"] == pytest.approx([((2 / 3 + 1 / 2) / 2 + 3 / 4) / 2] * 2)


def test_a_competitions_metric_is_a_column_too():
    column = build_column("iou", BINARY)
    full = np.ones((2, 3), np.uint8)
    assert column.score(column.stats(full[None], full, Label(full, full > 0))[None]) == 1
    assert not column.lower
    with pytest.raises(MaskfoldError, match="diec"):
        build_column("diec", BINARY)


@pytest.mark.parametrize("labels", [BINARY, CLASSES], ids=["binary", "multiclass"])
@pytest.mark.parametrize("name", ["acc", "mdice_d", "mdice_i", "miou_c", "miou_i_worst5", "mdice_c_worst1"])
def test_figures_are_those_of_the_whole_set(name, labels):
    metrics, column = SegmentationMetrics(labels), build_column(name, labels)
    for _, mask, label in images(labels):
        metrics.update(mask, label.values, label.valid)
    assert column.score(rows_of(column, labels)) == pytest.approx(metrics.compute()[name])


def test_any_share_of_the_worst_can_be_asked_for():
    names = {name: build_column(name, CLASSES) for name in ("miou_i", "miou_i_worst67", "miou_i_worst100")}
    found = {name: column.score(rows_of(column, CLASSES)) for name, column in names.items()}
    table = rows_of(names["miou_i"], CLASSES)
    assert found["miou_i_worst67"] == pytest.approx(np.sort(np.nanmean(table, axis=1))[:2].mean())
    assert found["miou_i_worst100"] == found["miou_i"]
    with pytest.raises(MaskfoldError):
        build_column("miou_i_worst0", CLASSES)
