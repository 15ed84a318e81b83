"""Which network, at which scale, in how many folds, with which views: what is worth most within the hours.

All of them compete for the same seconds, so they are chosen together: the gain that each promises is in units of the
score, from studies that were made here.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product

from maskfold.errors import TrainingError
from maskfold.labels import Task
from maskfold.planning.costs import SPARE, Costs, Split
from maskfold.planning.encoders import SCRATCH
from maskfold.planning.fingerprint import Fingerprint
from maskfold.planning.networks import Cost, Network
from maskfold.planning.reason import Reason
from maskfold.planning.rules.crop import crop
from maskfold.planning.rules.network import quality
from maskfold.planning.rules.scale import allowed_scales
from maskfold.planning.rules.views import GAINS, view_count
from maskfold.planning.rules.window import window, window_pixels
from maskfold.planning.speed import Speed
from maskfold.training.forecast import hours_for

# docs/experiments.md: twice the images of short trainings with weights of ImageNet gain 0.025 on tiles
# (soft_labels_buildings, to 4.6 rounds of the images) and 0.059 on salt (small_images, to 8 rounds). That lasts for 8
# rounds, of few for 2000 images, of many for 20,000 or two rounds. Then a tenth is expected, for on salt 16 rounds
# gained 0.005 more, on tiles 20 rounds 0.003 (benchmarks/RESULTS.md, plans); and nothing beyond 40 rounds or 100,000,
# of few beyond 150 rounds or 20,000 (configs that were tuned by hand: 16 epochs of 633, 40 of 2720, 60 of 367).
DOUBLING, FIRST, SHORT = 0.042, 2000, 20_000
LATER = 0.1
FIRST_ROUNDS, FIRST_OF_MANY = 8, 2
ROUNDS, ROUNDS_OF_FEW, MOST = 40, 150, 100_000
# docs/experiments.md, street_scenes: of eleven classes the rare ones come late. 10, 20 and 40 epochs of 367 images
# reach 0.467, 0.548 and 0.590: what is missing is so many images over those trained on, and the second doubling's gain
# that of a training of usual length.
CLASSES_MISSING, CLASSES_DOUBLING = 595, 0.042
# benchmarks/RESULTS.md, demo: five folds of one network gain 0.022 over one. The mean of n leaves 1/n of what differs
# between networks (Breiman, Bagging predictors, 1996), so that without end it would be 0.0275.
FOLDS = 0.0275
# docs/experiments.md, soft_labels_demo: from scratch, twice the epochs of 768 images gain 0.146; that lasts until some
# 2000 images, as the demo's own 17 epochs are.
SCRATCH_DOUBLING, SCRATCH_SHORT = 0.146, 2000
# Below 256 pixels the deepest features, of stride 32, have little extent: half of a side loses 0.049 on tiles
# (docs/experiments.md, progressive_scale: 0.104, of which 0.025 are the epochs', 0.030 what the true masks lose) and
# 0.054 on salt (small_images: 0.032 from 192 to 128 pixels). Images that are enlarged more than twice gain no more:
# salt's 101 pixels as 256 reach 0.714 after ten rounds, as 192 they did 0.724 after eight (benchmarks/RESULTS.md, one
# hour each).
SMALL_SIDE, ENLARGED, SMALL = 256, 2, 0.05
# benchmarks/RESULTS.md, scale and crops: so much of what the true masks gain by the larger scale is lost, in as many
# steps, where crops hide half of an image's side: on tiles, and on streets, whose classes are known by their place.
# What squares hide of a longer side comes to the same whatever is chosen, and is left out.
HIDDEN, CLASSES_HIDDEN = 0.015, 0.137


@dataclass(frozen=True)
class Option:
    """One way to spend the hours.

    Attributes:
        network, scale, folds, views: what it is; ``folds`` are trained.
        crop: side of a training sample, in pixels after scale, and why.
        window: side of those that prediction looks through, and why; None: whole images.
        costs: of it.
        images: that each fold trains on, or crops of them.
        value: what it promises, in units of the score; only differences mean something.
    """

    network: Network
    scale: float
    crop: Reason
    window: Reason
    folds: int
    views: str
    costs: Costs
    images: float
    value: float


@dataclass(frozen=True)
class Budget:
    """What there is to choose from, and to spend.

    Attributes:
        data, speed: what was measured.
        seconds: for everything.
        folds: numbers of folds to choose from.
        views: sets of views to choose from.
        split: of each fold.
        shortest: where not one training of anything fits, take the option whose shortest one is over first.
    """

    data: Fingerprint
    speed: Speed
    seconds: float
    folds: Sequence[int]
    views: Sequence[str]
    split: Split
    shortest: bool = False

    def options(self, network: Network, cost: Cost) -> list[Option]:
        """All ways to spend it on a network."""
        found = []
        for scale, views in product(allowed_scales(self.data), self.views):
            side = crop(self.data, scale, memory=cost.memory, free=self.speed.free)
            whole = window(self.data, scale, side.value, memory=cost.memory, free=self.speed.free)
            windows = window_pixels(self.data, scale, whole.value)
            test_windows = self.data.test_windows
            if whole.value is not None:
                test_windows = window_pixels(self.data, scale * math.sqrt(self.data.test_pixels), whole.value)
            costs = Costs(
                self.data,
                cost,
                self.speed.gpu,
                scale,
                side.value,
                view_count(views),
                self.split,
                windows=windows,
                test_windows=test_windows,
            )
            for folds in self.folds:
                images = costs.images(self.seconds, folds)
                worth = value(network, costs, folds, images) + GAINS[views]
                found.append(Option(network, scale, side, whole, folds, views, costs, images, worth))
        return found


def ranked(budget: Budget, networks: Sequence[Network], cost: Callable[[Network], Cost]) -> list[Option]:
    """The best option of each network, the best of all first.

    Raises:
        TrainingError: not one training of anything fits.
    """
    options = [budget.options(network, cost(network)) for network in networks]
    best = [max(own, key=lambda option: option.value) for own in options]
    if max(option.value for option in best) > -math.inf:
        return sorted(best, key=lambda option: -option.value)
    data, least = budget.data, shortest_training(budget.split)

    def total(option: Option) -> float:
        return option.costs.total(least, option.folds)

    shortest = sorted((min(own, key=total) for own in options), key=total)
    if budget.shortest:
        return shortest
    hours = hours_for(total(shortest[0]) / (1 - SPARE))
    raise TrainingError(
        f"{budget.seconds / 3600:.3g} hours have no room for a training: {least:.0f} of the {data.train} training "
        f"images once, its scores and the prediction of {data.test} test images take {hours} hours on "
        f"{budget.speed.name}; give more hours"
    )


def value(network: Network, costs: Costs, folds: int, images: float) -> float:
    """What an option promises where each fold trains on so many images, or crops of them.

    Nothing where they are fewer than those of the shortest training.
    """
    data, scale = costs.data, costs.scale
    if images < shortest_training(costs.split):
        return -math.inf
    length = learned(costs, images)
    if network.encoder == SCRATCH:
        length += (SCRATCH_DOUBLING - DOUBLING) * math.log2(min(images, SCRATCH_SHORT) / SCRATCH_SHORT)
    enough = min(SMALL_SIDE, ENLARGED * data.side)
    halvings = math.log2(enough / min(enough, data.side * scale))
    hidden = max(0.0, math.log2(data.side * scale / costs.crop))
    lost = SMALL * halvings + (CLASSES_HIDDEN if data.task == "multiclass" else HIDDEN) * hidden
    return length + quality(network) + data.ceilings[scale] + FOLDS * (1 - 1 / folds) - lost


def shortest_training(split: Split) -> float:
    """Images of the shortest training that is planned: each once, or as many as make it long."""
    return min(split.train, SHORT)


def learned(costs: Costs, images: float) -> float:
    """What a fold learns from so many images, or crops of them; only differences mean something."""
    if costs.data.task == "multiclass":
        return -CLASSES_MISSING / min(images, enough(costs))
    short = short_of(costs)
    later = math.log2(min(max(images, short), enough(costs)) / short)
    return DOUBLING * (math.log2(min(images, short)) + LATER * later)


def promise(network: Network, seconds: float, task: Task) -> float:
    """What a network promises in a given time if it learns from a million pixels in so many seconds.

    In units of the score; only differences mean something.
    """
    doubling = CLASSES_DOUBLING if task == "multiclass" else DOUBLING
    return quality(network) - doubling * math.log2(seconds)


def short_of(costs: Costs) -> float:
    """Images, or crops of them, up to which a training is short: each further one gains its share."""
    train = costs.split.train
    return costs.crops * min(max(FIRST, FIRST_ROUNDS * train), max(SHORT, FIRST_OF_MANY * train), MOST)


def enough(costs: Costs) -> float:
    """Images, or crops of them, beyond which a fold's training gains nothing to speak of."""
    train = costs.split.train
    return costs.crops * max(min(ROUNDS_OF_FEW * train, SHORT), min(ROUNDS * train, MOST))
