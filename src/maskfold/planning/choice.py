"""Which encoder, at which scale, in how many folds: what is worth most within the hours.

All three compete for the same seconds, so they are chosen together: the gain that each promises is in units of the
score, from studies that were made here.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from maskfold.errors import TrainingError
from maskfold.planning.costs import SPARE, Costs
from maskfold.planning.encoders import Encoder
from maskfold.planning.fingerprint import Fingerprint
from maskfold.planning.rules.scale import allowed_scales
from maskfold.planning.speed import Speed

# docs/experiments.md, soft_labels_buildings: twice the epochs of short trainings gain 0.025 on real tiles with weights
# of ImageNet. Beyond 20,000 images a third of it is expected; beyond 40 rounds, or 200,000, nothing (configs that were
# tuned by hand: 16 epochs of 633, 40 of 2720, 60 of 367).
DOUBLING, SHORT = 0.025, 20_000
LATER = DOUBLING / 3
ROUNDS, MOST = 40, 200_000
# benchmarks/RESULTS.md, the study `weights`: 71.9 to 77.5 % on ImageNet gain 0.070 in the same number of steps.
TOP1 = 0.070 / (77.5 - 71.9)
# benchmarks/RESULTS.md, demo: five folds of one network gain 0.022 over one; half of it comes with the second one.
FOLDS = {1: 0.0, 2: 0.010, 3: 0.015, 5: 0.022}
# TGS salt's winners brought 101 pixels to 192 to 256: below that the deepest features, of stride 32, have no extent.
SMALL_SIDE, SMALL = 256, 0.02


@dataclass(frozen=True)
class Option:
    """One way to spend the hours.

    Attributes:
        encoder, scale, folds: what it is; ``folds`` are trained.
        costs: of it.
        images: that each fold trains on.
        value: what it promises, in units of the score; only differences mean something.
    """

    encoder: Encoder
    scale: float
    folds: int
    costs: Costs
    images: float
    value: float


def choose(
    data: Fingerprint,
    speed: Speed,
    encoders: Sequence[Encoder],
    *,
    seconds: float,
    folds: Sequence[int],
    views: int,
    share: float,
    shortest: bool = False,
) -> Option:
    """The best option.

    Args:
        data, speed: what was measured.
        encoders: to choose from.
        seconds: for everything.
        folds: numbers of folds to choose from.
        views: of prediction.
        share: of the images that a fold validates.
        shortest: where not one epoch of anything fits, take the option whose epoch is over first.

    Raises:
        TrainingError: not one epoch of anything fits.
    """
    options = list(_options(data, speed, encoders, seconds, folds, views, share))
    best = max(options, key=lambda option: option.value)
    if best.value > -math.inf:
        return best
    epoch = (1 - share) * data.train
    least = min(options, key=lambda option: option.costs.total(epoch, option.folds))
    if shortest:
        return least
    hours = least.costs.total(epoch, least.folds) / 3600 / (1 - SPARE)
    raise TrainingError(
        f"{seconds / 3600:.3g} hours have no room for a training: one epoch of the {data.train} training images, its "
        f"scores and the prediction of {data.test} test images take {hours:.2g} hours on {speed.name}; give more hours"
    )


def _options(
    data: Fingerprint,
    speed: Speed,
    encoders: Sequence[Encoder],
    seconds: float,
    folds: Sequence[int],
    views: int,
    share: float,
) -> Iterator[Option]:
    for encoder in encoders:
        cost = speed.cost(encoder)
        for scale in allowed_scales(data):
            costs = Costs(data, cost, speed.gpu, scale, views, share)
            for count in folds:
                images = costs.images(seconds, count)
                yield Option(encoder, scale, count, costs, images, value(data, encoder, scale, count, images, share))


def value(data: Fingerprint, encoder: Encoder, scale: float, folds: int, images: float, share: float) -> float:
    """What an option promises: nothing where the images, without the share that is validated, are not seen once."""
    if images < (1 - share) * data.train:
        return -math.inf
    length = DOUBLING * math.log2(min(images, SHORT))
    length += LATER * math.log2(min(max(images, SHORT), enough(data)) / SHORT)
    input_side = min(SMALL_SIDE, data.side * scale)
    ceiling = data.ceilings[scale]
    gain = FOLDS.get(folds, FOLDS[5])
    return length + TOP1 * encoder.top1 + ceiling + gain - SMALL * math.log2(SMALL_SIDE / input_side)


def promise(encoder: Encoder, seconds: float) -> float:
    """What an encoder promises in a given time if it learns from a million pixels in so many seconds.

    In units of the score; only differences mean something.
    """
    return TOP1 * encoder.top1 - DOUBLING * math.log2(seconds)


def enough(data: Fingerprint) -> float:
    """Images beyond which a fold's training gains nothing to speak of."""
    return max(SHORT, min(ROUNDS * data.train, MOST))
