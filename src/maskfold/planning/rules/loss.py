"""The loss, from task, metric and coverage."""

import statistics
from collections.abc import Sequence

from maskfold.planning.fingerprint import Fingerprint
from maskfold.planning.reason import Reason

RARE = 0.02  # of the pixels
LIGHTEST, HEAVIEST = 0.1, 10.0  # weights of classes: further apart, single pixels of a rare one would rule a batch


def loss(data: Fingerprint) -> Reason:
    """Cross-entropy, which has a gradient everywhere, and a term of the metric's kind.

    - Exclusive classes: 0.25 cross-entropy + 0.75 Jaccard metric loss (Wang et al., NeurIPS 2023). The study
      ``camvid_losses`` (docs/experiments.md): +0.052 (0.049 to 0.055) over cross-entropy alone, where halves of
      cross-entropy and Dice gained 0.036 (0.033 to 0.039), PaddleSeg's fifth of Lovász-softmax 0.019 (0.016 to 0.022).
      Classes are weighted against their frequency: see `class_weights`.
    - A score of sums over the set: 0.5 + 0.5 Dice of the whole batch, as contrails' winners had it.
    - Recall worth more than precision, as in F2: Tversky with the metric's own costs.
    - Else 0.5 + 0.5 Dice per image (benchmarks/RESULTS.md, each loss alone: Dice 0.632, BCE 0.605 after six epochs); of
      rare foreground more Dice, for BCE alone is content with none.
    """
    if data.task == "multiclass":
        options = {"class_weights": class_weights(data.frequencies)}
        terms = [{"name": "cross_entropy", "weight": 0.25, "options": options}, {"name": "jml", "weight": 0.75}]
        return Reason(
            terms,
            "classes exclude each other and the score is of overlap: +0.052 in the study camvid_losses; weights by the "
            "median frequency, without which rare classes come late",
        )
    if data.of_sums:
        terms = [{"name": "bce", "weight": 0.5}, {"name": "dice", "weight": 0.5, "options": {"per_image": False}}]
        return Reason(terms, f"{data.metric} is of sums over all images, so the Dice is of the whole batch")
    if data.error_costs is not None and data.error_costs[0] != data.error_costs[1]:
        alpha, beta = data.error_costs
        options = {"alpha": alpha, "beta": beta}
        terms = [{"name": "bce", "weight": 0.5}, {"name": "tversky", "weight": 0.5, "options": options}]
        return Reason(terms, f"{data.metric} weighs false positives {alpha:g} and false negatives {beta:g}")
    share = 0.7 if data.coverage < RARE else 0.5
    terms = [{"name": "bce", "weight": round(1 - share, 1)}, {"name": "dice", "weight": share}]
    return Reason(terms, f"{data.metric} is of overlap; foreground is {data.coverage:.1%} of the masks that have any")


def class_weights(frequencies: Sequence[float]) -> list[float]:
    """The median frequency over each class's own, within a tenth and ten; 1 for classes that no mask has.

    Without weights the rare classes of short trainings are never said: CamVid's pole, sign and bicyclist had IoU 0.
    Source: Eigen & Fergus, ICCV 2015, as SegNet trained on CamVid; docs/experiments.md, street_scenes: +0.055 (0.048
    to 0.063).

    Args:
        frequencies: of each class in the masks that have it.
    """
    median = statistics.median([own for own in frequencies if own] or [1.0])
    weights = [min(HEAVIEST, max(LIGHTEST, median / own)) if own else 1.0 for own in frequencies]
    return [float(f"{weight:.3g}") for weight in weights]
