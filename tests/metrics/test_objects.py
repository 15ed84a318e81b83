"""mAP and F2 over objects, against the published rule, written here with a loop over thresholds and objects."""

import numpy as np
import pytest
from scipy.ndimage import label as scipy_label

from maskfold.errors import MaskfoldError
from maskfold.labels import Label, LabelSpec
from maskfold.metrics import build_metric

BINARY = LabelSpec("binary", ("nucleus",))
THRESHOLDS = [k / 100 for k in range(50, 100, 5)]


def published(predicted, truth, of_counts):
    """Lists of bool masks -> the mean over thresholds, every pair of objects compared."""
    scores = []
    for threshold in THRESHOLDS:
        hit = [[(p & t).sum() / (p | t).sum() > threshold + 1e-12 for t in truth] for p in predicted]
        tp = sum(any(row) for row in hit)
        scores.append(of_counts(tp, len(predicted) - tp, len(truth) - sum(map(any, zip(*hit, strict=True)))))
    return np.mean(scores)


def dsb(tp, fp, fn):
    return tp / (tp + fp + fn)


def f2(tp, fp, fn):
    return (1 + 4) * tp / ((1 + 4) * tp + 4 * fn + fp)


def objects(seed, shape=(40, 56)):
    """Rectangles that touch but do not overlap, numbered with gaps."""
    rng = np.random.default_rng(seed)
    found = np.zeros(shape, np.int32)
    for number in range(1, 14):
        top, left = rng.integers(0, shape[0] - 4), rng.integers(0, shape[1] - 4)
        box = found[top : top + rng.integers(3, 12), left : left + rng.integers(3, 14)]
        box[box == 0] = 3 * number
    return found


def moved(truth, seed):
    """Each object moved by a little, or lost."""
    rng = np.random.default_rng(seed)
    found = np.zeros_like(truth)
    for number in np.unique(truth)[1:]:
        one = np.roll(truth == number, rng.integers(-1, 2, 2), (0, 1))
        if rng.random() < 0.85:
            found[one & (found == 0)] = 100 - number
    return found


def masks_of(instances):
    return [instances == number for number in np.unique(instances)[1:]]


@pytest.mark.parametrize(("name", "rule"), [("dsb_map", dsb), ("airbus_f2", f2)])
def test_the_published_rule(name, rule):
    metric = build_metric(name, BINARY)
    truths = [objects(seed) for seed in range(5)]
    found = [moved(truth, seed) for seed, truth in enumerate(truths)]
    labels = [Label((t != 0).astype(np.uint8), np.ones(t.shape, bool), t) for t in truths]
    stats = np.stack([metric.stats_of(p, label) for p, label in zip(found, labels, strict=True)])
    expected = [published(masks_of(p), masks_of(t), rule) for p, t in zip(found, truths, strict=True)]
    np.testing.assert_allclose(metric.per_image(stats), expected, rtol=1e-12)
    assert len(set(np.round(expected, 6))) == 5
    assert metric.score(stats) == pytest.approx(np.mean(expected))


def test_plain_masks_count_components():
    metric = build_metric("dsb_map", BINARY)
    truth = (objects(1) != 0).astype(np.uint8)
    predicted = np.roll(truth, 1, 1)
    instances = [scipy_label(mask, np.ones((3, 3)))[0] for mask in (predicted, truth)]
    expected = published(*map(masks_of, instances), dsb)
    assert metric.per_image(metric.stats_of(predicted, Label.whole(truth))[None])[0] == pytest.approx(expected)


def test_an_iou_equal_to_the_threshold_is_no_hit():
    truth, predicted = np.zeros((2, 1, 24), np.int32)
    truth[:, :20], predicted[:, :18] = 1, 1  # IoU 0.9: found at 0.5 to 0.85
    metric = build_metric("dsb_map", BINARY)
    label = Label((truth != 0).astype(np.uint8), np.ones(truth.shape, bool), truth)
    assert metric.per_image(metric.stats_of(predicted, label)[None]) == pytest.approx([0.8])


@pytest.mark.parametrize("name", ["dsb_map", "airbus_f2"])
def test_images_without_objects(name):
    metric = build_metric(name, BINARY)
    nothing, ship = np.zeros((6, 9), np.uint8), np.zeros((6, 9), np.uint8)
    ship[1:4, 2:7] = 1
    pairs = [(nothing, nothing), (ship, nothing), (nothing, ship), (ship, ship)]
    stats = np.stack([metric.stats_of(mask, Label.whole(truth)) for mask, truth in pairs])
    assert metric.per_image(stats).tolist() == [1, 0, 0, 1]


def test_two_touching_objects_are_not_one():
    truth = np.zeros((8, 20), np.int32)
    truth[2:6, 2:10], truth[2:6, 10:18] = 1, 2
    label = Label((truth != 0).astype(np.uint8), np.ones(truth.shape, bool), truth)
    metric = build_metric("dsb_map", BINARY)
    apart, merged = (metric.per_image(metric.stats_of(m, label)[None])[0] for m in (truth, label.values))
    assert apart == 1
    assert merged == 0  # IoU one half is not greater than one half


def test_other_metrics_see_where_any_object_is():
    truth = objects(2)
    label = Label((truth != 0).astype(np.uint8), np.ones(truth.shape, bool), truth)
    dice = build_metric("dice", BINARY)
    np.testing.assert_array_equal(
        dice.stats_of(moved(truth, 3), label), dice.image_stats((moved(truth, 3) != 0), label)
    )


def test_pixels_that_do_not_count_belong_to_no_object():
    truth = np.zeros((6, 20), np.int32)
    truth[1:5, 1:6], truth[1:5, 12:18] = 1, 2
    valid = np.ones(truth.shape, bool)
    valid[:, 10:] = False
    label = Label(np.where(valid, truth != 0, 0).astype(np.uint8), valid, truth)
    metric = build_metric("dsb_map", BINARY)
    assert metric.stats_of((truth == 1).astype(np.int32), label)[:3].tolist() == [1, 1, 1]


@pytest.mark.parametrize("name", ["dsb_map", "airbus_f2"])
def test_what_is_predicted_where_nothing_counts_does_not_matter(name):
    """The label has two objects, with pixels that do not count between them: whether a prediction joins them there."""
    metric = build_metric(name, BINARY)
    values = np.array([[1, 1, 0, 1, 1, 1, 0], [1, 1, 0, 0, 1, 1, 0]], np.uint8)
    valid = np.ones(values.shape, bool)
    valid[:, 2] = False
    for between in (0, 1):
        predicted = np.where(valid, values, between).astype(np.uint8)
        assert metric.stats_of(predicted, Label(values, valid)).tolist() == [2] * 12  # all found


def test_only_binary_tasks_have_objects():
    with pytest.raises(MaskfoldError, match="dsb_map scores binary masks"):
        build_metric("dsb_map", LabelSpec("multilabel", ("a", "b")))


def test_where_labels_tell_no_objects_apart_predictions_do_not_either():
    """Two discs touch in the prediction and not in the truth: a mask that is submitted whole has one object there."""
    truth = np.zeros((12, 30), np.uint8)
    truth[3:9, 2:12], truth[3:9, 14:27] = 1, 1
    predicted = np.zeros((12, 30), np.int32)
    predicted[3:9, 2:13], predicted[3:9, 13:27] = 1, 2
    metric = build_metric("dsb_map", BINARY)
    whole = metric.stats_of((predicted > 0).astype(np.uint8), Label.whole(truth))
    assert metric.stats_of(predicted, Label.whole(truth)).tolist() == whole.tolist()
    assert whole[:2].tolist() == [1, 2]
