"""Which loss follows from a competition's score where labels are soft."""

from typing import Any

from maskfold.metrics.competition import CompetitionMetric

# By what a false positive and a false negative cost.
FORMS = {(0.5, 0.5): "dml", (1.0, 1.0): "jml"}


def soft_loss(metric: CompetitionMetric) -> list[dict[str, Any]]:
    """Terms for `maskfold.losses.build_loss`: 0.25 cross-entropy + 0.75 of the loss that is 1 - score for hard labels.

    That is dml for Dice, jml for IoU, ctl where errors cost otherwise, and jml for a score that names no costs: each is
    smallest where probability and label are equal (arXiv 2302.05666, 2303.16296, whose weights these are).
    """
    costs = metric.costs or (1.0, 1.0)
    name = FORMS.get(costs, "ctl")
    options = {} if costs in FORMS else {"options": dict(zip(("alpha", "beta"), costs, strict=True))}
    pixels = "cross_entropy" if metric.labels.exclusive else "bce"
    return [{"name": pixels, "weight": 0.25}, {"name": name, "weight": 0.75, **options}]
