"""From the ``loss`` part of a config to a `MixedLoss`."""

import difflib
import inspect
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from maskfold.errors import ConfigError
from maskfold.extension import load_named
from maskfold.labels import LabelSpec, Task
from maskfold.losses._common import SegmentationLoss, check_number
from maskfold.losses.boundary import ActiveBoundaryLoss, BoundaryLoss
from maskfold.losses.focal import FocalLoss
from maskfold.losses.jdt import CompatibleTverskyLoss, DiceSemimetricLoss, JaccardMetricLoss
from maskfold.losses.lovasz import LovaszHingeLoss, LovaszSoftmaxLoss
from maskfold.losses.mixed import MASK, OF_THEIR_OWN, PRESENCE, MixedLoss, Term
from maskfold.losses.pixel import BCEWithLogitsLoss, CrossEntropyLoss
from maskfold.losses.region import DiceLoss, JaccardLoss, TverskyLoss

LOSSES: dict[str, type[SegmentationLoss]] = {
    "bce": BCEWithLogitsLoss,
    "cross_entropy": CrossEntropyLoss,
    "focal": FocalLoss,
    "dice": DiceLoss,
    "jaccard": JaccardLoss,
    "tversky": TverskyLoss,
    "lovasz_hinge": LovaszHingeLoss,
    "lovasz_softmax": LovaszSoftmaxLoss,
    "jml": JaccardMetricLoss,
    "dml": DiceSemimetricLoss,
    "ctl": CompatibleTverskyLoss,
    "boundary": BoundaryLoss,
    "active_boundary": ActiveBoundaryLoss,
}

TERM_KEYS = ("name", "weight", "output", "outputs", "target", "from_epoch", "until_epoch", "ramp_epochs", "options")
# What PaddleSeg gives a second, auxiliary output beside the first one's 1.
AUX_WEIGHT = 0.4
# Enough for the head to learn, too little to lead the encoder away from the mask.
PRESENCE_WEIGHT = 0.1
# Borders are thin: Dice does not care how much of an image is none.
DEFAULTS: dict[str, list[dict[str, Any]]] = {
    PRESENCE: [{"name": "bce", "weight": PRESENCE_WEIGHT}],
    "border": [{"name": "bce", "weight": 0.5}, {"name": "dice", "weight": 0.5}],
    "inner": [{"name": "bce", "weight": 1.0}],
}


def default_loss(labels: LabelSpec) -> list[dict[str, Any]]:
    """The loss where a config has none: 0.8 cross-entropy (of exclusive classes, else binary) + 0.2 Dice."""
    return [{"name": "cross_entropy" if labels.exclusive else "bce", "weight": 0.8}, {"name": "dice", "weight": 0.2}]


def build_loss(spec: Sequence[Mapping[str, Any]], labels: LabelSpec, *, outputs: Sequence[str] = ()) -> MixedLoss:
    """Build the loss that ``spec`` describes.

    Args:
        spec: terms ``{name, weight: 1, output: mask, target: mask, from_epoch: 1, until_epoch: null, ramp_epochs: 0,
            options: {}}``, ``name`` a key of `LOSSES` or ``package.module:Name`` and ``options`` arguments of that
            class. The outputs ``presence``, ``border`` and ``inner`` have targets of these names by default, and the
            task of ``presence`` is multilabel.
            ``outputs: {mask: 1, deep_1: 0.4}`` in the place of ``output`` makes a term for each of these outputs, with
            so much of the weight.
        labels: their task decides how every loss reads logits and targets.
        outputs: what the network returns beside the mask. An output that no term names gets the terms of the mask,
            with `AUX_WEIGHT` times their weights; ``presence``, ``border`` and ``inner`` get their `DEFAULTS`.

    Raises:
        ConfigError: unknown names, keys or options (the nearest valid one is named), values out of range, or
            an epoch without any active term.
    """
    if not isinstance(spec, Sequence) or isinstance(spec, str):
        raise ConfigError(f"the loss is {spec!r}: expected a list of terms such as [{{name: bce, weight: 0.8}}]")
    terms = [_term(each, labels.task) for entry in spec for each in _by_output(entry)]
    of_mask = [term for term in terms if term.output == MASK]
    for output in [name for name in outputs if name not in {term.output for term in terms}]:
        if output in DEFAULTS:
            terms += [_term({**entry, "output": output}, labels.task) for entry in DEFAULTS[output]]
        else:
            terms += [replace(term, output=output, weight=AUX_WEIGHT * term.weight) for term in of_mask]
    return MixedLoss(terms)


def _by_output(entry: Any) -> list[Any]:
    """``{weight: 2, outputs: {mask: 1, deep_1: 0.4}}`` as one entry for each output, with weights 2 and 0.8."""
    if not isinstance(entry, Mapping) or "outputs" not in entry:
        return [entry]
    name, found = entry.get("name"), entry["outputs"]
    if not isinstance(found, Mapping) or not found or "output" in entry:
        raise ConfigError(
            f"the loss term {name} has outputs {found!r}: expected a share of the weight for each, such as "
            "{mask: 1, deep_1: 0.4}, and no output beside it"
        )
    weight = check_number(f"the weight of {name}", entry.get("weight", 1.0), 0)
    shares = {output: check_number(f"the share of {output} in {name}", share, 0) for output, share in found.items()}
    rest = {key: value for key, value in entry.items() if key != "outputs"}
    return [{**rest, "output": output, "weight": weight * share} for output, share in shares.items()]


def _term(entry: Any, task: Task) -> Term:
    if not isinstance(entry, Mapping):
        raise ConfigError(f"a term of the loss is {entry!r}: expected a mapping such as {{name: bce, weight: 0.8}}")
    _check_keys("key of a loss term", entry, TERM_KEYS)
    if "name" not in entry:
        raise ConfigError(f"the loss term {dict(entry)} has no name: known are {', '.join(LOSSES)}")
    name = entry["name"]
    until = entry.get("until_epoch")
    first = _epochs(name, entry, "from_epoch", 1)
    output = str(entry.get("output", MASK))
    of_image = output == PRESENCE  # several classes can be in one image, also where a pixel has only one
    return Term(
        name=str(name).rpartition(":")[2],
        loss=_loss(name, entry.get("options") or {}, "multilabel" if of_image else task),
        weight=check_number(f"the weight of {name}", entry.get("weight", 1.0), 0),
        output=output,
        target=str(entry.get("target", output if output in OF_THEIR_OWN else MASK)),
        from_epoch=first,
        until_epoch=None if until is None else _epochs(name, entry, "until_epoch", first),
        ramp_epochs=_epochs(name, entry, "ramp_epochs", 0),
    )


def _loss(name: str, options: Any, task: Task) -> SegmentationLoss:
    if not isinstance(options, Mapping):
        raise ConfigError(f"the options of {name} are {options!r}: expected a mapping such as {{smooth: 1}}")
    kind = load_named(name, LOSSES, "loss", SegmentationLoss)
    known = {key: value for key, value in inspect.signature(kind).parameters.items() if key != "task"}
    _check_keys(f"option of {name}", options, known)
    for key, value in options.items():
        if known[key].annotation is bool and not isinstance(value, bool):
            raise ConfigError(f"{key} of {name} is {value!r}: expected true or false")
    try:
        return kind(task, **options)
    except ValueError as error:
        raise ConfigError(f"loss {name}: {error}") from None
    except TypeError as error:
        raise ConfigError(f"loss {name} cannot be made with the task and the options {options}: {error}") from None


def _epochs(name: str, entry: Mapping[str, Any], key: str, low: int) -> int:
    value = check_number(f"{key} of {name}", entry.get(key, low), low)
    if value != int(value):
        raise ConfigError(f"{key} of {name} is {value}: expected a whole number of epochs")
    return int(value)


def _check_keys(what: str, found: Collection[Any], known: Collection[str]) -> None:
    known = list(known)
    for key in found:
        if key not in known:
            match = difflib.get_close_matches(str(key), known, n=1)
            hint = f"did you mean {match[0]}?" if match else f"known are {', '.join(known)}"
            raise ConfigError(f"unknown {what} {key!r}: {hint}")
