"""From the ``loss`` part of a config to a `MixedLoss`."""

import difflib
import inspect
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from maskfold.labels import LabelSpec, Task
from maskfold.losses._common import SegmentationLoss, check_number
from maskfold.losses.boundary import ActiveBoundaryLoss, BoundaryLoss
from maskfold.losses.focal import FocalLoss
from maskfold.losses.jdt import CompatibleTverskyLoss, DiceSemimetricLoss, JaccardMetricLoss
from maskfold.losses.lovasz import LovaszHingeLoss, LovaszSoftmaxLoss
from maskfold.losses.mixed import MixedLoss, Term
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

TERM_KEYS = ("name", "weight", "from_epoch", "until_epoch", "ramp_epochs", "options")
Spec = Sequence[Mapping[str, Any]] | Mapping[str, Any]


def default_loss(labels: LabelSpec) -> list[dict[str, Any]]:
    """The loss where a config has none: 0.8 cross-entropy (of exclusive classes, else binary) + 0.2 Dice."""
    return [{"name": "cross_entropy" if labels.exclusive else "bce", "weight": 0.8}, {"name": "dice", "weight": 0.2}]


def build_loss(spec: Spec, labels: LabelSpec) -> MixedLoss:
    """Build the loss that ``spec`` describes.

    Args:
        spec: a list of terms ``{name, weight: 1, from_epoch: 1, until_epoch: null, ramp_epochs: 0,
            options: {}}``, ``name`` a key of `LOSSES` and ``options`` arguments of that class; for a network
            with several outputs ``{outputs: [terms, terms, ...], coefficients: [1, ...]}``, where an output's
            coefficient multiplies the weights of its terms (all 1 if left out).
        labels: their task decides how every loss reads logits and targets.

    Raises:
        ValueError: unknown names, keys or options (the nearest valid one is named), values out of range, or
            an epoch without any active term.
    """
    if not isinstance(spec, Mapping):
        return MixedLoss(_terms(spec, 0, 1.0, labels.task))
    _check_keys("key of the loss", spec, ("outputs", "coefficients"))
    outputs = _list("outputs", spec.get("outputs"))
    coefficients = _list("coefficients", spec.get("coefficients", [1.0] * len(outputs)))
    if len(outputs) != len(coefficients):
        raise ValueError(
            f"the loss has {len(outputs)} outputs and {len(coefficients)} coefficients: give one for each output"
        )
    return MixedLoss(
        [
            term
            for output, (terms, coefficient) in enumerate(zip(outputs, coefficients, strict=True))
            for term in _terms(terms, output, check_number("a coefficient", coefficient, 0), labels.task)
        ]
    )


def _terms(spec: Any, output: int, coefficient: float, task: Task) -> list[Term]:
    entries = _list("the loss", spec)
    if not entries or not all(isinstance(entry, Mapping) for entry in entries):
        raise ValueError(f"the loss is {spec!r}: expected terms such as [{{name: bce, weight: 0.8}}]")
    return [_term(entry, output, coefficient, task) for entry in entries]


def _term(entry: Mapping[str, Any], output: int, coefficient: float, task: Task) -> Term:
    _check_keys("key of a loss term", entry, TERM_KEYS)
    if "name" not in entry:
        raise ValueError(f"the loss term {dict(entry)} has no name: known are {', '.join(LOSSES)}")
    name = entry["name"]
    _check_keys("loss", [name], LOSSES)
    until = entry.get("until_epoch")
    first = _epochs(name, entry, "from_epoch", 1)
    return Term(
        name=name,
        loss=_loss(name, entry.get("options") or {}, task),
        weight=coefficient * check_number(f"the weight of {name}", entry.get("weight", 1.0), 0),
        from_epoch=first,
        until_epoch=None if until is None else _epochs(name, entry, "until_epoch", first),
        ramp_epochs=_epochs(name, entry, "ramp_epochs", 0),
        output=output,
    )


def _loss(name: str, options: Any, task: Task) -> SegmentationLoss:
    if not isinstance(options, Mapping):
        raise ValueError(f"the options of {name} are {options!r}: expected a mapping such as {{smooth: 1}}")
    kind = LOSSES[name]
    known = {key: value for key, value in inspect.signature(kind).parameters.items() if key != "task"}
    _check_keys(f"option of {name}", options, known)
    for key, value in options.items():
        if known[key].annotation is bool and not isinstance(value, bool):
            raise ValueError(f"{key} of {name} is {value!r}: expected true or false")
    try:
        return kind(task, **options)
    except ValueError as error:
        raise ValueError(f"loss {name}: {error}") from None


def _epochs(name: str, entry: Mapping[str, Any], key: str, low: int) -> int:
    value = check_number(f"{key} of {name}", entry.get(key, low), low)
    if value != int(value):
        raise ValueError(f"{key} of {name} is {value}: expected a whole number of epochs")
    return int(value)


def _list(name: str, value: Any) -> Sequence[Any]:
    if not isinstance(value, Sequence) or isinstance(value, str):
        raise ValueError(f"{name} is {value!r}: expected a list")
    return value


def _check_keys(what: str, found: Collection[Any], known: Collection[str]) -> None:
    known = list(known)
    for key in found:
        if key not in known:
            match = difflib.get_close_matches(str(key), known, n=1)
            hint = f"did you mean {match[0]}?" if match else f"known are {', '.join(known)}"
            raise ValueError(f"unknown {what} {key!r}: {hint}")
