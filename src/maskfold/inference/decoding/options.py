"""The steps that a `PostConfig` asks for, and their options class by class."""

import inspect
from collections.abc import Iterator, Mapping
from itertools import combinations
from typing import Any

from pydantic import BaseModel

from maskfold.config import PostConfig
from maskfold.errors import ConfigError
from maskfold.extension import load_named
from maskfold.inference.decoding.crf import CRF
from maskfold.inference.decoding.gates import Certain, Presence, TopMean
from maskfold.inference.decoding.small import Small
from maskfold.inference.decoding.steps import FillHoles, MinArea, Step, Threshold
from maskfold.inference.decoding.watershed import Watershed
from maskfold.labels import LabelSpec

# Key of `PostConfig` -> step, in the order of the chain. Such a key holds the step's one option, `value`, or a section
# of its options; null leaves the step out.
BUILT_IN: dict[str, type[Step]] = {
    "crf": CRF,
    "presence": Presence,
    "certain": Certain,
    "top_mean": TopMean,
    "threshold": Threshold,
    "small": Small,
    "fill_holes": FillHoles,
    "min_area": MinArea,
    "watershed": Watershed,
}


def asked_steps(post: PostConfig) -> Iterator[tuple[str, type[Step], dict[str, Any]]]:
    """``(name, class, options)`` of every step that is not left out, the built-in ones first.

    Options that are tuned but not set are there with the constructor's default.

    Raises:
        MaskfoldError: a step that is not there, is not a `Step`, has a key of its own, or would decide itself.
    """
    for name, step in BUILT_IN.items():
        held = getattr(post, name)
        if held is not None:
            yield name, step, held.model_dump() if isinstance(held, BaseModel) else {"value": held}
    for name, options in post.steps.items():
        if name in BUILT_IN:
            raise ConfigError(f"post.steps holds {name}, which has a key of its own: set post.{name}")
        step = load_named(name, {}, "decoding step", Step)
        if step.stage == "decision":
            raise ConfigError(
                f"the decoding step {name} has the stage decision, which post.threshold and post.small alone have: set "
                "its stage to probability or mask"
            )
        yield name, step, _defaults(step) | options


def _defaults(step: type[Step]) -> dict[str, Any]:
    parameters = inspect.signature(step).parameters
    return {
        option: parameters[option].default
        for option in step.tried
        if option in parameters and parameters[option].default is not inspect.Parameter.empty
    }


def for_each_class(value: Any, labels: LabelSpec, key: str) -> tuple[Any, ...]:
    """One value for every class, from a value for all of them, a list, or a mapping by class name.

    Raises:
        ConfigError: a list of another length, or a mapping that does not name each class once.
    """
    names = labels.class_names
    if isinstance(value, Mapping):
        if set(value) != set(names):
            raise ConfigError(f"{key} has values for {', '.join(value)}: give one for each of {', '.join(names)}")
        return tuple(value[name] for name in names)
    if isinstance(value, list | tuple):
        if len(value) != len(names):
            raise ConfigError(
                f"{key} has {len(value)} values {list(value)}: give one for all classes, or one for each of "
                f"{', '.join(names)}"
            )
        return tuple(value)
    return (value,) * len(names)


def place_of(name: str, option: str) -> tuple[str, ...]:
    """Keys that lead from ``post`` to an option: (min_area,), (crf, w1), (steps, package.module:Name, sigma)."""
    if name not in BUILT_IN:
        return "steps", name, option
    return (name,) if option == "value" else (name, option)


def key_of(name: str, option: str) -> str:
    """Where an option stands in the config: ``post.min_area``, ``post.steps.package.module:Name.sigma``."""
    return ".".join(("post", *place_of(name, option)))


def has_one_option(name: str) -> bool:
    """Whether a step's key holds the value of its one option."""
    return name in BUILT_IN and "value" in BUILT_IN[name].tried


def with_and_without(post: PostConfig) -> list[PostConfig]:
    """``post`` itself, last, and before it ``post`` without some or all of the steps that can be left out."""
    optional = [name for name in BUILT_IN if PostConfig.model_fields[name].default is None]
    there = [name for name in optional if getattr(post, name) is not None]
    left_out = [names for count in range(len(there), -1, -1) for names in combinations(there, count)]
    return [post.model_copy(update=dict.fromkeys(names)) for names in left_out]


def telling_apart(post: PostConfig) -> PostConfig:
    """The default chain with those steps of ``post`` that tell objects apart: how training's validation decodes."""
    own = {name: post.steps[name] for name, step, _ in asked_steps(post) if name in post.steps and _last(step)}
    return PostConfig(watershed=post.watershed, steps=own)


def _last(step: type[Step]) -> bool:
    return step.stage == "instances"


def step_objects(name: str, step: type[Step], options: dict[str, Any], labels: LabelSpec) -> list[Step]:
    """An object of ``step`` for each class, or one for all of them."""
    further = {"labels": labels} if step.needs_labels else {}
    if not step.each_class:
        return [_made(name, step, options | further)]
    values = {option: for_each_class(value, labels, key_of(name, option)) for option, value in options.items()}
    return [
        _made(name, step, {option: each[place] for option, each in values.items()} | further)
        for place in range(labels.channels)
    ]


def _made(name: str, step: type[Step], options: dict[str, Any]) -> Step:
    try:
        return step(**options)
    except TypeError as error:
        raise ConfigError(f"post.steps.{name} cannot be made with the options {options}: {error}") from None
