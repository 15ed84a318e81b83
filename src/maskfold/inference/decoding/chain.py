"""The decoding chain: steps before the decision, the decision, steps after it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from maskfold.config import PostConfig
from maskfold.errors import ConfigError, InferenceError
from maskfold.inference.decoding.options import asked_steps, for_each_class, key_of
from maskfold.inference.decoding.steps import BUILT_IN, Step
from maskfold.labels import LabelSpec
from maskfold.resizing import fit_image

if TYPE_CHECKING:
    from maskfold.inference.predict import Prediction

LoadImage = Callable[[], np.ndarray]


@dataclass(frozen=True)
class _Part:
    """A step of the chain: an object for each class, or one for all of them."""

    name: str
    steps: tuple[Step, ...]

    def __call__(self, layers: np.ndarray, image: np.ndarray | None, presence: np.ndarray | None) -> np.ndarray:
        step = self.steps[0]
        if not step.each_class:
            found = np.asarray(_apply(step, layers, image, presence))
        else:
            shares = [None] * len(layers) if presence is None else presence
            each = zip(self.steps, layers, shares, strict=True)
            found = np.stack([_apply(one, layer, image, share) for one, layer, share in each])
        if found.shape != layers.shape:
            raise InferenceError(
                f"the decoding step {self.name} made {found.shape} of {layers.shape}: it must keep the shape"
            )
        return found.astype(np.float32 if step.stage in ("probability", "gate") else np.uint8, copy=False)

    @property
    def idle(self) -> bool:
        """Whether it changes nothing, for any class."""
        return all(step.idle for step in self.steps)


def _apply(step: Step, layers: np.ndarray, image: np.ndarray | None, presence: Any) -> np.ndarray:
    return step(layers, image, **({"presence": presence} if step.needs_presence else {}))


@dataclass(frozen=True)
class Chain:
    """How a competition's probabilities become masks; see `build_chain`."""

    labels: LabelSpec
    before: tuple[_Part, ...]
    decision: _Part
    after: tuple[_Part, ...]

    def __call__(self, prediction: "Prediction") -> np.ndarray:
        """The mask of a prediction, as in `decode`."""
        return self.decode(prediction.probability, prediction.image, prediction.presence)

    def decode(
        self, probability: np.ndarray, image: LoadImage | None = None, presence: np.ndarray | None = None
    ) -> np.ndarray:
        """The mask of a probability map (C, H, W): uint8, in the form that `maskfold.labels` has for the task.

        Args:
            probability: float32, or uint8 v that stands for the float32 v / 255 and gives the same mask.
            image: loads the image; called once, and only if a step asks for the image. Where it has another size
                than the map, it is resized to the map's.
            presence: float32 (C,), the probability that each class is anywhere in the image.

        Raises:
            InferenceError: a map of another shape or type, an image that is asked for and not there, a step that
                changes the shape.
            ConfigError: a presence that is asked for and not there.
        """
        self._check(probability)
        self.check_presence(presence is not None)
        loaded = self._load(image, probability.shape[1:])
        if self.before and probability.dtype == np.uint8:
            probability = probability.astype(np.float32) / np.float32(255)
        for part in self.before:
            probability = part(probability, loaded, presence)
        if self.labels.exclusive:
            return self.labels.decide(probability)
        layers = self.decision(probability, loaded, presence)
        for part in self.after:
            layers = part(layers, loaded, presence)
        return self.labels.mask(layers)

    @property
    def needs_presence(self) -> list[str]:
        """Names of the steps that ask for the presence."""
        return [part.name for part in (*self.before, *self.after) if part.steps[0].needs_presence]

    def check_presence(self, available: bool) -> None:
        """Refuse a chain that asks for a presence that no network predicts.

        Raises:
            ConfigError: a step asks for it, and it is not ``available``.
        """
        if self.needs_presence and not available:
            asking = self.needs_presence[0]
            raise ConfigError(
                f"the decoding step {asking} asks for the presence of classes, which no network here predicts: "
                f"{'set post.presence to 0' if asking in BUILT_IN else 'leave it out'}, or train with model.presence "
                "true"
            )

    def _check(self, probability: np.ndarray) -> None:
        right = probability.ndim == 3 and len(probability) == self.labels.channels
        if not right or probability.dtype not in (np.float32, np.uint8):
            raise InferenceError(
                f"a probability map is {probability.dtype} {probability.shape}, expected float32 or uint8 (C, H, W) "
                f"with C = {self.labels.channels}"
            )

    def _load(self, image: LoadImage | None, size: tuple[int, int]) -> np.ndarray | None:
        asking = [part.name for part in (*self.before, *self.after) if part.steps[0].needs_image]
        if not asking:
            return None
        if image is None:
            raise InferenceError(
                f"the decoding step {asking[0]} asks for the image, but there is only a map: give both"
            )
        return fit_image(image(), size)


def build_chain(post: PostConfig, labels: LabelSpec) -> Chain:
    """The chain of a config for a competition's classes.

    Steps that change the probability come first, in the order of ``post.steps``; then ``presence``; then the decision;
    then ``fill_holes``, ``min_area`` and the other steps of ``post.steps``. Steps that change nothing are left out.
    Exclusive classes are decided for by the most probable one: they have no threshold, and no step that would change
    the mask of a single class.

    Raises:
        MaskfoldError: a step that is not there, options that do not fit it or the classes, a step after the decision
            where classes exclude each other.
    """
    parts: dict[str, list[_Part]] = {"probability": [], "gate": [], "decision": [], "mask": []}
    for name, step, options in asked_steps(post):
        if labels.exclusive and step.stage == "mask":
            _refuse(name, options, labels)
        elif not (part := _Part(name, tuple(step_objects(name, step, options, labels)))).idle:
            parts[step.stage].append(part)
    return Chain(labels, (*parts["probability"], *parts["gate"]), parts["decision"][0], tuple(parts["mask"]))


def _refuse(name: str, options: dict[str, Any], labels: LabelSpec) -> None:
    if name in BUILT_IN and not any(for_each_class(options["value"], labels, key_of(name, "value"))):
        return
    advice = "set it to 0" if name in BUILT_IN else "leave it out"
    value = f" is {options['value']}" if name in BUILT_IN else " is a step after the decision"
    raise ConfigError(
        f"{key_of(name, '').rstrip('.')}{value}, but the {labels.channels} classes exclude each other, and it changes "
        f"the mask of one class alone: {advice}"
    )


def step_objects(name: str, step: type[Step], options: dict[str, Any], labels: LabelSpec) -> list[Step]:
    """An object of ``step`` for each class, or one for all of them."""
    if not step.each_class:
        return [_made(name, step, options)]
    values = {option: for_each_class(value, labels, key_of(name, option)) for option, value in options.items()}
    return [
        _made(name, step, {option: each[place] for option, each in values.items()}) for place in range(labels.channels)
    ]


def _made(name: str, step: type[Step], options: dict[str, Any]) -> Step:
    try:
        return step(**options)
    except TypeError as error:
        raise ConfigError(f"post.steps.{name} cannot be made with the options {options}: {error}") from None
