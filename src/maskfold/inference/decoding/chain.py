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

    def __call__(self, layers: np.ndarray, image: np.ndarray | None) -> np.ndarray:
        step = self.steps[0]
        if step.each_class:
            found = np.stack([one(layer, image) for one, layer in zip(self.steps, layers, strict=True)])
        else:
            found = np.asarray(step(layers, image))
        if found.shape != layers.shape:
            raise InferenceError(
                f"the decoding step {self.name} made {found.shape} of {layers.shape}: it must keep the shape"
            )
        return found.astype(np.float32 if step.stage == "probability" else np.uint8, copy=False)


@dataclass(frozen=True)
class Chain:
    """How a competition's probabilities become masks; see `build_chain`."""

    labels: LabelSpec
    before: tuple[_Part, ...]
    decision: _Part
    after: tuple[_Part, ...]

    def __call__(self, prediction: "Prediction") -> np.ndarray:
        """The mask of a prediction, as in `decode`."""
        return self.decode(prediction.probability, prediction.image)

    def decode(self, probability: np.ndarray, image: LoadImage | None = None) -> np.ndarray:
        """The mask of a probability map (C, H, W): uint8, in the form that `maskfold.labels` has for the task.

        Args:
            probability: float32, or uint8 v that stands for the float32 v / 255 and gives the same mask.
            image: loads the image; called once, and only if a step asks for the image. Where it has another size
                than the map, it is resized to the map's.

        Raises:
            InferenceError: a map of another shape or type, an image that is asked for and not there, a step that
                changes the shape.
        """
        self._check(probability)
        loaded = self._load(image, probability.shape[1:])
        if self.before and probability.dtype == np.uint8:
            probability = probability.astype(np.float32) / np.float32(255)
        for part in self.before:
            probability = part(probability, loaded)
        if self.labels.exclusive:
            return self.labels.decide(probability)
        layers = self.decision(probability, loaded)
        for part in self.after:
            layers = part(layers, loaded)
        return self.labels.mask(layers)

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

    Steps that change the probability come first, in the order of ``post.steps``; then the decision; then
    ``fill_holes``, ``min_area`` and the other steps of ``post.steps``. Exclusive classes are decided for by the most
    probable one: they have no threshold, and no step that would change the mask of a single class.

    Raises:
        MaskfoldError: a step that is not there, options that do not fit it or the classes, a step after the decision
            where classes exclude each other.
    """
    parts: dict[str, list[_Part]] = {"probability": [], "decision": [], "mask": []}
    for name, step, options in asked_steps(post):
        if labels.exclusive and step.stage == "mask":
            _refuse(name, options, labels)
        else:
            parts[step.stage].append(_Part(name, tuple(_objects(name, step, options, labels))))
    return Chain(labels, tuple(parts["probability"]), parts["decision"][0], tuple(parts["mask"]))


def _refuse(name: str, options: dict[str, Any], labels: LabelSpec) -> None:
    if name in BUILT_IN and not any(for_each_class(options["value"], labels, key_of(name, "value"))):
        return
    advice = "set it to 0" if name in BUILT_IN else "leave it out"
    value = f" is {options['value']}" if name in BUILT_IN else " is a step after the decision"
    raise ConfigError(
        f"{key_of(name, '').rstrip('.')}{value}, but the {labels.channels} classes exclude each other, and it changes "
        f"the mask of one class alone: {advice}"
    )


def _objects(name: str, step: type[Step], options: dict[str, Any], labels: LabelSpec) -> list[Step]:
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
