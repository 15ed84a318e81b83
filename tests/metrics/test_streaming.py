import math
import pickle

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from maskfold.errors import MaskfoldError
from maskfold.labels import LabelSpec
from maskfold.metrics import SegmentationMetrics

CLASSES = 5
LABELS = LabelSpec("multiclass", ("ground", "roof", "tree", "water", "car"))
ABSENT = 3  # in no label and no prediction; class 4 is predicted but in no label


def make_set(seed=0, n=45, size=(7, 9)):
    rng = np.random.default_rng(seed)
    target = rng.choice([0, 1, 2], p=[0.6, 0.3, 0.1], size=(n, *size)).astype(np.uint8)
    pred = np.where(rng.random(target.shape) < 0.7, target, rng.choice([0, 1, 2, 4], size=target.shape))
    target[rng.random(target.shape) < 0.15] = 255
    for i, only in enumerate([0, 1, 2, 0]):  # images of a single class
        target[i] = np.where(target[i] == 255, 255, only)
    target[4], target[11] = 255, 255
    valid = target != 255
    return pred.astype(np.uint8), np.where(valid, target, rng.choice([0, 1, 2, 9], size=target.shape)), valid


def mean(values):
    values = list(values)
    return sum(values) / len(values) if values else float("nan")


def lowest(values, q):
    values = sorted(values)
    return values[: max(1, q * len(values) // 100)]


def brute_force(pred, target, valid, worst):
    """The scores by the paper's definitions, pixel by pixel in Python, for IoU and Dice."""
    images = []
    for p_image, t_image, v_image in zip(pred, target, valid, strict=True):
        counts = {c: [0, 0, 0] for c in range(CLASSES)}
        for p, t, v in zip(*(image.ravel().tolist() for image in (p_image, t_image, v_image)), strict=True):
            if not v:
                continue
            if p == t:
                counts[t][0] += 1
            else:
                counts[p][1] += 1
                counts[t][2] += 1
        images.append(counts)
    total = {c: [sum(image[c][k] for image in images) for k in range(3)] for c in range(CLASSES)}
    in_set = [c for c in total if total[c][0] + total[c][2]]
    found, labelled = sum(total[c][0] for c in in_set), sum(total[c][0] + total[c][2] for c in in_set)
    result = {
        "acc": found / labelled,
        "macc": mean(total[c][0] / (total[c][0] + total[c][2]) for c in in_set),
    }
    formulas = {
        "iou": lambda tp, fp, fn: tp / (tp + fp + fn),
        "dice": lambda tp, fp, fn: 2 * tp / (2 * tp + fp + fn),
    }
    for name, formula in formulas.items():
        by_image = [{c: formula(*k) for c, k in image.items() if k[0] + k[2]} for image in images]
        by_image = [scores for scores in by_image if scores]
        of_images = [mean(scores.values()) for scores in by_image]
        of_classes = [[scores[c] for scores in by_image if c in scores] for c in in_set]
        result[f"m{name}_d"] = mean(formula(*k) for k in total.values() if any(k))
        result[f"m{name}_i"] = mean(of_images)
        result[f"m{name}_c"] = mean(map(mean, of_classes))
        for q in worst:
            result[f"m{name}_i_worst{q}"] = mean(lowest(of_images, q))
            result[f"m{name}_c_worst{q}"] = mean(mean(lowest(values, q)) for values in of_classes)
    return result


@pytest.mark.parametrize("batch", [1, 3, 45])
@pytest.mark.parametrize("seed", [0, 1])
def test_equals_brute_force(batch, seed):
    pred, target, valid = make_set(seed)
    metrics = SegmentationMetrics(LABELS, worst=(1, 5, 70))
    for start in range(0, len(pred), batch):
        metrics.update(*(part[start : start + batch] for part in (pred, target, valid)))
    expected = brute_force(pred, target, valid, (1, 5, 70))
    result = metrics.compute()
    assert result == pytest.approx(expected, rel=1e-12)
    assert len({round(value, 9) for value in expected.values()}) == len(expected)  # no two definitions coincide


def test_single_images_torch_and_sizes_of_their_own():
    pred, target, valid = make_set()
    whole, parts = SegmentationMetrics(LABELS), SegmentationMetrics(LABELS)
    whole.update(*(torch.from_numpy(part) for part in (pred, target, valid)))
    for p, t, v in zip(pred, target, valid, strict=True):
        parts.update(torch.from_numpy(p), t.T.copy().T, v)
    assert whole.compute() == parts.compute()
    parts.update(np.array([[0, 1]]), np.array([[0, 0]]))
    assert parts.per_image().miou.iloc[-1] == 0.5


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 3), min_size=12, max_size=12), st.permutations(range(4)))
def test_merge_of_any_split_is_the_whole(owner, order):
    """Each image goes to one of four processes (some have none), merged in any order: equal to the bit."""
    pred, target, valid = make_set(2, n=12, size=(3, 4))
    whole = SegmentationMetrics(LABELS)
    whole.update(pred, target, valid)
    parts = [SegmentationMetrics(LABELS) for _ in range(4)]
    for i, process in enumerate(owner):
        parts[process].update(pred[i], target[i], valid[i])
    merged = SegmentationMetrics(LABELS)
    for process in order:
        merged.merge(pickle.loads(pickle.dumps(parts[process])))
    assert merged.compute() == whole.compute()
    assert len(merged.counts) == 12


def test_merge_leaves_the_other_alone_and_refuses_strangers():
    pred, target, valid = make_set()
    a, b = SegmentationMetrics(LABELS), SegmentationMetrics(LABELS)
    b.update(pred[:2], target[:2], valid[:2])
    assert a.merge(b) is a
    a.update(pred[2], target[2], valid[2])
    assert (len(a.counts), len(b.counts)) == (3, 2)
    for other in (LabelSpec("multiclass", tuple("vwxyz")), LabelSpec("multilabel", LABELS.class_names)):
        with pytest.raises(MaskfoldError, match="cannot merge"):
            a.merge(SegmentationMetrics(other))


def test_void_images_leave():
    pred, target, valid = make_set()
    keep = valid.any((1, 2))
    assert keep.sum() == 43
    with_void, without = SegmentationMetrics(LABELS), SegmentationMetrics(LABELS)
    with_void.update(pred, target, valid)
    without.update(pred[keep], target[keep], valid[keep])
    assert with_void.compute() == without.compute()


def test_layers_that_overlap():
    rng = np.random.default_rng(4)
    pred, target = (rng.integers(0, 2, (6, 3, 5, 4), dtype=np.uint8) for _ in range(2))
    valid = rng.random((6, 5, 4)) < 0.8
    metrics = SegmentationMetrics(LabelSpec("multilabel", ("fish", "flower", "sugar")))
    metrics.update(pred[:4], target[:4], valid[:4])
    for image in (4, 5):
        metrics.update(pred[image], target[image], valid[image])
    for image in range(6):
        for layer in range(3):
            p, t = pred[image, layer][valid[image]], target[image, layer][valid[image]]
            expected = [(p & t).sum(), (p & ~t & 1).sum(), (t & ~p & 1).sum()]
            np.testing.assert_array_equal(metrics.counts[image, layer], expected)
    assert metrics.per_class().index.tolist() == ["fish", "flower", "sugar"]


def test_a_binary_mask_has_background_and_foreground():
    metrics = SegmentationMetrics(LabelSpec("binary", ("roof",)))
    metrics.update(np.array([[1, 1, 0, 0, 0]]), np.array([[1, 0, 0, 0, 1]]))
    assert metrics.per_class()["iou_d"].to_dict() == {"background": 2 / 4, "roof": 1 / 3}


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("n", [0, 2])
def test_nothing_to_judge_is_nan(n):
    metrics = SegmentationMetrics(LabelSpec("multiclass", ("a", "b", "c")))
    metrics.update(np.zeros((n, 2, 2), int), np.zeros((n, 2, 2), int), np.zeros((n, 2, 2), bool))
    assert all(math.isnan(value) for value in metrics.compute().values())
    assert metrics.per_class()["images"].tolist() == [0, 0, 0]
    assert metrics.per_image()["miou"].isna().sum() == n


def test_class_in_no_label():
    """Predicted: 0 in the sums over the set, absent from the means of images. Nowhere: left out of all."""
    metrics = SegmentationMetrics(LabelSpec("multiclass", tuple("abcd")))
    metrics.update(np.array([[0, 0, 1, 2]]), np.array([[0, 0, 1, 1]]))
    result = metrics.compute()
    assert result["miou_d"] == pytest.approx((1 + 1 / 2 + 0) / 3)
    assert result["miou_i"] == result["miou_c"] == pytest.approx((1 + 1 / 2) / 2)
    assert result["macc"] == pytest.approx((1 + 1 / 2) / 2)


def test_tables():
    pred, target, valid = make_set()
    metrics = SegmentationMetrics(LABELS, worst=(5,))
    metrics.update(pred, target, valid)
    target = np.where(valid, target, 255)
    result, classes, images = metrics.compute(), metrics.per_class(), metrics.per_image()
    assert tuple(classes.index) == LABELS.class_names
    for score in ("iou", "dice"):
        assert classes[f"{score}_d"].mean() == pytest.approx(result[f"m{score}_d"])
        assert classes[f"{score}_c"].mean() == pytest.approx(result[f"m{score}_c"])
        assert classes[f"{score}_c_worst5"].mean() == pytest.approx(result[f"m{score}_c_worst5"])
        assert images[f"m{score}"].mean() == pytest.approx(result[f"m{score}_i"])
    assert classes["acc"].mean() == pytest.approx(result["macc"])
    assert classes.loc["roof", "pixels"] == (target == 1).sum()
    assert classes.loc["roof", "images"] == (target == 1).any((1, 2)).sum()
    assert classes.loc["roof", "tp"] == ((target == 1) & (pred == 1)).sum()
    assert classes.loc["roof", "fp"] == ((target != 1) & (target != 255) & (pred == 1)).sum()
    assert classes.loc["roof", "fn"] == ((target == 1) & (pred != 1)).sum()
    assert classes.loc["water", ["iou_d", "iou_c", "acc"]].isna().all()
    assert classes.loc["car", "iou_d"] == 0
    assert images["pixels"].tolist() == (target != 255).sum((1, 2)).tolist()
    assert images["acc"].to_numpy()[[0, 20]] == pytest.approx(
        [(pred[i] == target[i]).sum() / (target[i] != 255).sum() for i in (0, 20)]
    )
    assert images.loc[0, "iou_ground"] == images.loc[0, "miou"]
    assert images.loc[0, ["iou_roof", "iou_tree"]].isna().all()  # image 0 is all ground
    assert images.loc[11, ["acc", "miou", "iou_ground"]].isna().all()  # void


@pytest.mark.parametrize(
    ("pred", "target", "message"),
    [
        (np.array([[0, 3]]), np.array([[0, 1]]), "pred holds the labels 3: expected 0 to 2"),
        (np.array([[0, 255]]), np.array([[0, 255]]), "pred holds the labels 255"),
        (np.array([[0, 1]]), np.array([[7, 2]]), "target holds the labels 7"),
        (np.array([[0, 1]]), np.array([[-1, 0]]), "target holds the labels -1"),
        (np.array([[0.2, 0.9]]), np.array([[0, 1]]), "argmax"),
        (np.array([[0, 1]]), np.array([[0], [1]]), "one shape"),
    ],
)
def test_bad_labels_are_refused_and_add_nothing(pred, target, message):
    metrics = SegmentationMetrics(LabelSpec("multiclass", ("a", "b", "c")))
    with pytest.raises(MaskfoldError, match=message):
        metrics.update(np.stack([np.zeros_like(pred), pred]), np.stack([np.zeros_like(target), target]))
    assert len(metrics.counts) == 0


@pytest.mark.parametrize(("worst", "message"), [((0,), "from 1 to 100"), ((2.5,), "whole per cent")])
def test_bad_arguments(worst, message):
    with pytest.raises(MaskfoldError, match=message):
        SegmentationMetrics(LABELS, worst=worst)
