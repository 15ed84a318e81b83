"""The loss that follows from a score is one minus that score, wherever the labels are hard."""

import numpy as np
import pytest
import torch

from maskfold.labels import Label, LabelSpec
from maskfold.losses import build_loss
from maskfold.metrics import CompetitionMetric, build_metric, confusion_counts
from maskfold.metrics.soft_loss import soft_loss

BINARY = LabelSpec("binary", ("roof",))
CLASSES = LabelSpec("multiclass", ("sky", "road", "car"))


class F2(CompetitionMetric):
    """5 TP / (5 TP + FP + 4 FN)."""

    name = "f2"
    costs = (0.2, 0.8)

    def image_stats(self, mask, label):
        return np.array(confusion_counts(mask, label.values)[:3], float)

    def per_image(self, stats):
        tp, fp, fn = np.moveaxis(stats, -1, 0)
        return 5 * tp / (5 * tp + fp + 4 * fn)


class Unlike(F2):
    """A score that says nothing of costs."""

    costs = None


@pytest.mark.parametrize("metric", [build_metric("dice", BINARY), build_metric("iou", BINARY), F2(BINARY)])
def test_the_region_term_is_one_minus_the_score(metric):
    rng = np.random.default_rng(2)
    masks = (rng.random((2, 3, 17, 22)) < [[[[0.5]]], [[[0.3]]]]).astype(np.uint8)
    stats = [metric.image_stats(mask, Label.whole(truth)) for mask, truth in zip(*masks, strict=True)]
    pixels, region = soft_loss(metric)
    assert (pixels["name"], pixels["weight"], region["weight"]) == ("bce", 0.25, 0.75)
    loss = build_loss([{**region, "options": {**region.get("options", {}), "smooth": 0}}], BINARY)
    logits, target = 200 * (torch.tensor(masks[0]).float() - 0.5), torch.tensor(masks[1]).float()
    found, _ = loss({"mask": logits[:, None]}, {"mask": target[:, None]})
    assert float(found) / 0.75 == pytest.approx(1 - metric.per_image(np.array(stats)).mean(), abs=1e-5)


def test_which_form_follows():
    def form(metric):
        return [(term["name"], term.get("options")) for term in soft_loss(metric)]

    assert form(build_metric("dice", BINARY)) == [("bce", None), ("dml", None)]
    assert form(build_metric("tgs_map", BINARY)) == [("bce", None), ("jml", None)]
    assert form(build_metric("miou", CLASSES)) == [("cross_entropy", None), ("jml", None)]
    assert form(F2(BINARY)) == [("bce", None), ("ctl", {"alpha": 0.2, "beta": 0.8})]
    assert form(Unlike(BINARY)) == [("bce", None), ("jml", None)]
    build_loss(soft_loss(build_metric("miou", CLASSES)), CLASSES)
