"""The steps that a `PostConfig` asks for, and their options class by class."""

import inspect
from collections.abc import Iterator, Mapping
from typing import Any

from maskfold.config import PostConfig
from maskfold.errors import ConfigError
from maskfold.extension import load_named
from maskfold.inference.decoding.steps import BUILT_IN, Step
from maskfold.labels import LabelSpec


def asked_steps(post: PostConfig) -> Iterator[tuple[str, type[Step], dict[str, Any]]]:
    """``(name, class, options)`` of every step, the built-in ones first.

    Options that are tuned but not set are there with the constructor's default.

    Raises:
        MaskfoldError: a step that is not there, is not a `Step`, or has a key of its own.
    """
    for name, step in BUILT_IN.items():
        yield name, step, {"value": getattr(post, name)}
    for name, options in post.steps.items():
        if name in BUILT_IN:
            raise ConfigError(f"post.steps holds {name}, which has a key of its own: set post.{name}")
        step = load_named(name, {}, "decoding step", Step)
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


def key_of(name: str, option: str) -> str:
    """Where an option stands in the config: ``post.min_area``, ``post.steps.package.module:Name.sigma``."""
    return f"post.{name}" if name in BUILT_IN else f"post.steps.{name}.{option}"
