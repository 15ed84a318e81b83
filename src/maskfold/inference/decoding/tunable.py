"""The values of the decoding chain that can be tuned, one by one."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from maskfold.config import PostConfig
from maskfold.errors import ConfigError, nearest
from maskfold.inference.decoding.options import (
    BUILT_IN,
    asked_steps,
    for_each_class,
    has_one_option,
    key_of,
    place_of,
    step_objects,
)
from maskfold.inference.decoding.steps import STAGES, Step
from maskfold.labels import LabelSpec

Tried = Mapping[str, Sequence[Any] | Mapping[str, Sequence[Any]]]


@dataclass(frozen=True)
class Tunable:
    """One value of a decoding chain.

    Attributes:
        name: ``threshold``, ``min_area of cirrus``, ``package.module:Name.sigma``.
        title: what a report calls it.
        step: name of its step in the config.
        option: its option there.
        tried: the values that tuning tries, numbers in ascending order.
        shown: further values that a report shows.
        labels: the classes.
        place: number of the class whose value it is; `None`: of a step that works on all classes together.
    """

    name: str
    title: str
    step: str
    option: str
    tried: tuple[Any, ...]
    shown: tuple[Any, ...]
    labels: LabelSpec
    place: int | None

    def value(self, post: PostConfig) -> Any:
        """The value that it has in ``post``."""
        found = self._configured(post)
        return found if self.place is None else self._each(found)[self.place]

    def moved(self, post: PostConfig, value: Any) -> PostConfig:
        """``post`` with another value here, and all else as it is.

        Raises:
            ConfigError: the value is out of range.
        """
        if self.place is not None and self.labels.task != "binary":
            each = list(self._each(self._configured(post)))
            each[self.place] = value
            value = each
        tree = post.model_dump()
        *sections, key = place_of(self.step, self.option)
        holds = tree
        for section in sections:
            holds[section] = holds[section] or {}
            holds = holds[section]
        holds[key] = value
        try:
            return PostConfig.model_validate(tree)
        except ValidationError as error:
            message = error.errors()[0]["msg"]
            raise ConfigError(f"tune.tried holds {value} for {self.name}: {message[0].lower()}{message[1:]}") from None

    def allows(self, value: Any) -> bool:
        """Whether the config takes the value."""
        try:
            self.moved(PostConfig(steps={} if self.step in BUILT_IN else {self.step: {self.option: value}}), value)
        except ConfigError:
            return False
        return True

    def as_tried(self, values: Sequence[Any]) -> dict[str, Any]:
        """``tune.tried`` of these values."""
        return {self.step: list(values) if has_one_option(self.step) else {self.option: list(values)}}

    def _configured(self, post: PostConfig) -> Any:
        return next(options for name, _, options in asked_steps(post) if name == self.step)[self.option]

    def _each(self, value: Any) -> tuple[Any, ...]:
        return for_each_class(value, self.labels, key_of(self.step, self.option))


def tunable_values(post: PostConfig, labels: LabelSpec, tried: Tried, *, presence: bool = False) -> list[Tunable]:
    """Every value that tuning can change, in the order of the chain; several classes: class by class.

    Args:
        post: the chain.
        labels: the classes. Where they exclude each other there is nothing to tune from the decision on.
        tried: step -> values instead of those that the step names, as ``tune.tried`` in the config.
        presence: whether there is a presence to decode with. Without, a step that asks for it is there only if its
            options make use of it.

    Raises:
        ConfigError: ``tried`` names a step or an option that is not there.
    """
    steps = list(asked_steps(post))
    _check_names(tried, {name: step for name, step, _ in steps})
    stages = STAGES[:2] if labels.exclusive else STAGES  # exclusive classes are decided by the most probable one
    return [
        tunable
        for stage in stages
        for name, step, options in steps
        if step.stage == stage and (presence or not step.needs_presence or _used(name, step, options, labels))
        for tunable in _of_step(name, step, options, labels, tried.get(name, {}))
    ]


def _used(name: str, step: type[Step], options: dict[str, Any], labels: LabelSpec) -> bool:
    return not all(one.idle for one in step_objects(name, step, options, labels))


def _of_step(
    name: str, step: type[Step], options: Mapping[str, Any], labels: LabelSpec, given: Any
) -> Iterator[Tunable]:
    if has_one_option(name) and given:
        given = {"value": given}
    for option, tried in {**step.tried, **given}.items():
        if option not in options:
            raise ConfigError(f"tune.tried names the option {option} of {name}: it has {', '.join(options) or 'none'}")
        called = name if has_one_option(name) else f"{name}.{option}"
        title = step.title or called
        places = range(labels.channels) if step.each_class else [None]
        for place in places:
            of_class = f" of {labels.class_names[place]}" if place is not None and labels.task != "binary" else ""
            shown = tuple(step.shown.get(option, ()))
            yield Tunable(called + of_class, title + of_class, name, option, _ascending(tried), shown, labels, place)


def _ascending(values: Sequence[Any]) -> tuple[Any, ...]:
    """Without repetition; in ascending order where they are numbers, as neighbours must be alike."""
    unique = tuple(dict.fromkeys(values))
    return tuple(sorted(unique)) if all(isinstance(value, int | float) for value in unique) else unique


def _check_names(tried: Tried, steps: Mapping[str, type[Step]]) -> None:
    for name, values in tried.items():
        if name not in steps and name not in BUILT_IN:  # those may be left out, also by tuning
            raise ConfigError(
                f"tune.tried names the step {name}, which is not in the chain: {nearest(name, list(steps))}"
            )
        if has_one_option(name) == isinstance(values, Mapping):
            form = "a list of values" if has_one_option(name) else "a list of values for each option, {option: [1, 2]}"
            raise ConfigError(f"tune.tried.{name} is {values}: expected {form}")
