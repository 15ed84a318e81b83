"""The plan: rules applied in the order in which they need each other."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from maskfold.config import Config, override
from maskfold.planning.choice import Budget, Option, enough, ranked, shortest_training
from maskfold.planning.encoders import SCRATCH
from maskfold.planning.estimates import Estimates
from maskfold.planning.fingerprint import Fingerprint
from maskfold.planning.networks import Network, at_hand, of_encoders
from maskfold.planning.reason import Reason
from maskfold.planning.rules import folds, input, learning_rate, length, positives, views
from maskfold.planning.rules.batch import PLANNED_MOST, batch_size, prediction_batch
from maskfold.planning.rules.loss import loss
from maskfold.planning.rules.network import quality
from maskfold.planning.rules.scale import why_scale
from maskfold.planning.rules.window import images_held
from maskfold.planning.speed import Speed
from maskfold.training.forecast import duration

MEASURING = 25.0  # seconds in which networks are measured,
MEASURED = 0.04  # or so much of the hours
TOLD = 3  # networks that the reason names


@dataclass(frozen=True)
class Plan:
    """A config and its reasons.

    Attributes:
        values: dotted key -> value and reason, in the order of the file.
        facts: lines about data and device.
        option: what was chosen among networks, scales and folds.
        seconds: that everything takes, as estimated.
        costs: name of a network to choose from -> seconds in which it learns from a million pixels, as far as known.
        enough: whether there is room for so many epochs that more would gain nothing.
    """

    values: Mapping[str, Reason]
    facts: Sequence[str]
    option: Option
    seconds: float
    costs: Mapping[str, float]
    enough: bool

    def config(self, base: Config) -> Config:
        """``base`` with the plan's values."""
        return override(base, {key: reason.value for key, reason in self.values.items()})


def make_plan(
    base: Config,
    data: Fingerprint,
    speed: Speed,
    *,
    hours: float,
    networks: Sequence[Network] | None = None,
    shortest: bool = False,
) -> Plan:
    """Decide everything.

    Args:
        base: whose section ``competition`` holds, and what ``folds`` sets to other than its default.
        data, speed: what was measured.
        hours: for folds, scores, tuning and the test images.
        networks: to choose from; None: those of the table whose weights are at hand.
        shortest: where the hours have no room for a training, plan for the shortest one there is.

    Raises:
        TrainingError: the hours have no room for a training.
        ModelError: a network that cannot be built.
    """
    kind = folds.kind(data, base.folds)
    copies = folds.copies(data, kind.value, base.folds)
    made = folds.count(data, kind.value, copies.value, base.folds)
    split = folds.split(data, kind.value, made.value, base.folds)
    counts = folds.counts(made.value, base.folds)
    budget = Budget(data, speed, hours * 3600, counts, views.choices(data), split, shortest)
    networks = of_encoders(at_hand() or [SCRATCH]) if networks is None else networks
    best, estimates = choose(budget, networks)
    option = best[0]
    values = {
        "folds.kind": kind,
        "folds.copies": copies,
        "folds.count": made,
        "folds.trained": folds.trained(option.folds, made.value, option.images, base.folds),
        **_values(data, speed, option, hours=hours, why=_why_network(best, estimates)),
        "tta.views": views.views(data, option.views),
    }
    images = values["train.epochs"].value * length.images_of_epoch(values["train.epoch_images"], split)
    seconds = option.costs.total(images, option.folds)
    costs = {network.name: estimates.cost(network).train for network in networks}
    full = length.is_enough(option.images, enough(option.costs))
    return Plan(values, _facts(data, speed, hours), option, seconds, costs, full)


def choose(budget: Budget, networks: Sequence[Network]) -> tuple[list[Option], Estimates]:
    """The best option of each network, the best first, which was measured on this device.

    The cheapest network of the table is measured first, and scales the table. What is best by it is measured too, until
    the best one is measured already; once the time for this is over, the choice is among those that were measured.

    Raises:
        TrainingError: not one training of anything fits.
    """
    started, most = time.monotonic(), min(MEASURING, MEASURED * budget.seconds)
    estimates = Estimates(budget.speed, min(networks, key=lambda network: network.cost.train))
    while True:
        late = time.monotonic() - started > most
        known = [network for network in networks if network.name in estimates.measured]
        best = ranked(budget, known if late else networks, estimates.cost)
        if best[0].network.name in estimates.measured:
            return best, estimates
        estimates.measure(best[0].network)


def _values(data: Fingerprint, speed: Speed, option: Option, *, hours: float, why: str) -> dict[str, Reason]:
    costs, memory, scale = option.costs, option.costs.cost.memory, option.scale
    encoder, decoder = option.network.encoder, option.network.decoder
    images = length.trained_images(option.images, shortest=shortest_training(costs.split), enough=enough(costs))
    drawn = length.epoch_images(images, costs)
    epoch = length.images_of_epoch(drawn, costs.split)
    batch = batch_size(option.crop.value, int(epoch), memory=memory, free=speed.free)
    count = length.epochs(option.images, images, epoch, enough=enough(costs), hours=hours, folds=option.folds)
    steps = int(count.value * epoch / batch.value)
    pretrained = encoder != SCRATCH
    weights = "a file of them is at hand" if pretrained else "no file is at hand: MASKFOLD_WEIGHTS names folders"
    image = round(data.largest * scale**2) if option.window.value is None else option.window.value**2
    held = PLANNED_MOST if option.window.value is None else images_held(data, scale, speed.free)
    return {
        "data.scale": Reason(scale, why_scale(data, scale)),
        "data.crop": option.crop,
        "data.augment": views.augment(data),
        "data.workers": input.workers(speed.gpu),
        "data.cache": input.cache(data, scale, speed.host),
        "data.positive_share": positives.positive_share(data),
        "model.architecture": Reason(decoder.architecture, f"{decoder.name}: chosen together with the encoder"),
        "model.encoder": Reason(encoder.name, why),
        "model.encoder_weights": Reason("imagenet" if pretrained else None, weights),
        "model.options": Reason(dict(decoder.options), f"those of the {decoder.name} that was measured"),
        "loss": loss(data),
        "optim.name": learning_rate.optimiser(),
        "optim.lr": learning_rate.learning_rate(batch.value, encoder.rate),
        "optim.encoder_lr_factor": learning_rate.encoder_factor(pretrained),
        "averaging.ema": length.ema(steps),
        "train.epochs": count,
        "train.epoch_images": drawn,
        "train.save_minutes": length.save_minutes(costs, epoch),
        "train.validate_every": length.validate_every(costs, epoch, count.value),
        "train.batch_size": batch,
        "tta.window": option.window,
        "inference.batch_size": prediction_batch(image, memory=memory, free=speed.free, most=held),
    }


def _why_network(best: Sequence[Option], estimates: Estimates) -> str:
    told = [_told(option, estimates) for option in best[:TOLD]]
    return f"of {len(best)} networks worth most within the hours (per million pixels): {'; '.join(told)}"


def _told(option: Option, estimates: Estimates) -> str:
    network = option.network
    how = "measured" if network.name in estimates.measured else "by the table"
    return f"{network.name} {option.costs.cost.train:.3g} s ({how}), quality {quality(network):+.3f}"


def _facts(data: Fingerprint, speed: Speed, hours: float) -> list[str]:
    objects = f", objects of {data.object_side:.0f} px" if data.object_side else ""
    shift = "not measured" if data.shift is None else f"AUC {data.shift:.2f}"
    return [
        f"A plan for {hours:.3g} hours on {speed.name}, {speed.free / 1e9:.3g} GB free.",
        f"{data.train} training and {data.test} test images, {data.height:.0f} x {data.width:.0f} px (medians of "
        f"{data.read} training images)",
        f"{data.task}, scored by {data.metric}; foreground {data.coverage:.1%}, empty masks {data.empty:.0%}{objects}",
        f"groups: {data.groups or 'none'}, near-copies: {data.copies}, train/test shift: {shift}",
    ]


def describe(plan: Plan) -> str:
    """The choice in a few lines, for a terminal."""
    option, values = plan.option, plan.values
    count = f"{option.folds} fold{'s' * (option.folds > 1)}"
    return (
        f"{option.network.name} at scale {option.scale:g}, crops of {values['data.crop'].value} px, batches of "
        f"{values['train.batch_size'].value}, {values['train.epochs'].value} epochs, {count}: about "
        f"{duration(plan.seconds)} in all"
    )
