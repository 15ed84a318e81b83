"""The plan: rules applied in the order in which they need each other."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from maskfold.config import Config, override
from maskfold.planning.choice import Option, choose, enough
from maskfold.planning.encoders import SCRATCH, Encoder, at_hand
from maskfold.planning.fingerprint import Fingerprint
from maskfold.planning.reason import Reason
from maskfold.planning.rules import folds, input, learning_rate, length, positives, views
from maskfold.planning.rules.batch import batch_size, prediction_batch
from maskfold.planning.rules.crop import crop
from maskfold.planning.rules.loss import loss
from maskfold.planning.rules.scale import why_scale
from maskfold.planning.speed import Speed
from maskfold.training.forecast import duration

MEASURING = 25.0  # seconds in which encoders are measured, the cheapest first,
MEASURED = 0.04  # or so much of the hours


@dataclass(frozen=True)
class Plan:
    """A config and its reasons.

    Attributes:
        values: dotted key -> value and reason, in the order of the file.
        facts: lines about data and device.
        option: what was chosen among encoders, scales and folds.
        seconds: that everything takes, as estimated.
        costs: name of an encoder that was measured -> seconds in which it learns from a million pixels.
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
    encoders: Sequence[Encoder] | None = None,
    shortest: bool = False,
) -> Plan:
    """Decide everything.

    Args:
        base: whose sections ``competition`` and ``folds`` hold.
        data, speed: what was measured.
        hours: for folds, scores, tuning and the test images.
        encoders: to choose from; None: those of the table whose weights are at hand.
        shortest: where the hours have no room for an epoch, plan for the shortest one there is.

    Raises:
        TrainingError: the hours have no room for a training.
        ModelError: an encoder that cannot be built.
    """
    kind = folds.kind(data, base.folds)
    made = folds.count(data, kind.value, base.folds)
    share = base.folds.valid_share if made.value == 1 else 1 / made.value
    seen = views.views(data)
    looks = views.view_count(seen.value)
    seconds, counts = hours * 3600, folds.counts(made.value, base.folds)
    most = min(MEASURING, MEASURED * seconds)
    known = measured(speed, at_hand() or [SCRATCH] if encoders is None else encoders, most)
    option = choose(data, speed, known, seconds=seconds, folds=counts, views=looks, share=share, shortest=shortest)
    train = (1 - share) * data.train
    values = {
        "folds.kind": kind,
        "folds.copies": folds.copies(data, kind.value, base.folds),
        "folds.count": made,
        "folds.trained": folds.trained(option.folds, made.value, option.images, base.folds),
        **_values(data, speed, option, known, train=train, hours=hours),
        "tta.views": seen,
    }
    seconds = option.costs.total(values["train.epochs"].value * train, option.folds)
    costs = {encoder.name: speed.cost(encoder).train for encoder in known}
    full = length.is_enough(option.images, enough(data))
    return Plan(values, _facts(data, speed, hours), option, seconds, costs, full)


def measured(speed: Speed, encoders: Sequence[Encoder], most: float) -> list[Encoder]:
    """The encoders that are measured before ``most`` seconds are over: the first one at least."""
    started, found = time.monotonic(), []
    for encoder in encoders:
        if found and time.monotonic() - started > most:
            break
        speed.cost(encoder)
        found.append(encoder)
    return found


def _values(
    data: Fingerprint, speed: Speed, option: Option, known: Sequence[Encoder], *, train: float, hours: float
) -> dict[str, Reason]:
    memory, scale = option.costs.cost.memory, option.scale
    side = crop(data, scale, memory=memory, free=speed.free)
    batch = batch_size(side.value, int(train), memory=memory, free=speed.free)
    count = length.epochs(option.images, train, enough=enough(data), hours=hours, folds=option.folds)
    steps = int(count.value * train / batch.value)
    pretrained = option.encoder is not SCRATCH
    weights = "a file of them is at hand" if pretrained else "no file is at hand: MASKFOLD_WEIGHTS names folders"
    image = round(data.pixels * scale**2)
    return {
        "data.scale": Reason(scale, why_scale(data, scale)),
        "data.crop": side,
        "data.augment": views.augment(data),
        "data.workers": input.workers(speed.gpu),
        "data.cache": input.cache(data, scale, speed.host),
        "data.positive_share": positives.positive_share(data),
        "model.architecture": Reason("unet", "the decoder that was measured with all encoders"),
        "model.encoder": Reason(option.encoder.name, _why_encoder(speed, option, known)),
        "model.encoder_weights": Reason("imagenet" if pretrained else None, weights),
        "model.options": Reason({"decoder_channels": list(option.encoder.decoder)}, "as wide as the encoder deserves"),
        "loss": loss(data),
        "optim.lr": learning_rate.learning_rate(batch.value, option.encoder.rate),
        "optim.encoder_lr_factor": learning_rate.encoder_factor(pretrained),
        "averaging.ema": length.ema(steps),
        "train.epochs": count,
        "train.validate_every": length.validate_every(option.costs, train, count.value),
        "train.batch_size": batch,
        "inference.batch_size": prediction_batch(image, memory=memory, free=speed.free),
    }


def _why_encoder(speed: Speed, option: Option, known: Sequence[Encoder]) -> str:
    rows = [f"{each.name} {speed.cost(each).train:.3g} s and {each.top1:g} %" for each in known]
    return f"of {'; '.join(rows)} (a million pixels, ImageNet): worth most within the hours"


def _facts(data: Fingerprint, speed: Speed, hours: float) -> list[str]:
    objects = f", objects of {data.object_side:.0f} px" if data.object_side else ""
    shift = "not measured" if data.shift is None else f"AUC {data.shift:.2f}"
    return [
        f"A plan for {hours:g} hours on {speed.name}, {speed.free / 1e9:.3g} GB free.",
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
        f"{option.encoder.name} at scale {option.scale:g}, crops of {values['data.crop'].value} px, batches of "
        f"{values['train.batch_size'].value}, {values['train.epochs'].value} epochs, {count}: about "
        f"{duration(plan.seconds)} in all"
    )
