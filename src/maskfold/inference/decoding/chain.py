"""The decoding chain: steps before the decision, the decision, steps after it."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from maskfold.config import PostConfig
from maskfold.errors import ConfigError, InferenceError
from maskfold.images import PLAIN, ImageSpec, to_rgb
from maskfold.inference.decoding.options import BUILT_IN, asked_steps, for_each_class, key_of
from maskfold.inference.decoding.steps import Step
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

    def __call__(self, layers: np.ndarray, image: "_Image") -> np.ndarray:
        step = self.steps[0]
        seen = image.seen_by(self.name, step)
        if step.each_class:
            found = np.stack([one(layer, seen) for one, layer in zip(self.steps, layers, strict=True)])
        else:
            found = np.asarray(step(layers, seen))
        if found.shape != layers.shape:
            raise InferenceError(
                f"the decoding step {self.name} made {found.shape} of {layers.shape}: it must keep the shape"
            )
        return found.astype(np.float32 if step.stage == "probability" else np.uint8, copy=False)


@dataclass(frozen=True)
class _Image:
    """A map's image, loaded once and only if a step asks for it; see `Chain.decode`."""

    load: LoadImage | None
    size: tuple[int, int]
    spec: ImageSpec

    def seen_by(self, name: str, step: Step) -> np.ndarray | None:
        """What a step gets: the image at the map's size, or `None`."""
        if not step.needs_image:
            return None
        if self.load is None:
            raise InferenceError(f"the decoding step {name} asks for the image, but there is only a map: give both")
        return self._rgb if step.sees_rgb else self._stored

    @cached_property
    def _stored(self) -> np.ndarray:
        return fit_image(self._loaded, self.size)

    @cached_property
    def _rgb(self) -> np.ndarray:
        return fit_image(to_rgb(self._loaded, self.spec), self.size)

    @cached_property
    def _loaded(self) -> np.ndarray:
        assert self.load is not None
        return self.load()


@dataclass(frozen=True)
class Chain:
    """How a competition's probabilities become masks; see `build_chain`.

    Attributes:
        labels: the classes.
        images: how the images are stored.
        before: the steps that change the probability.
        decision: the threshold.
        after: the steps that change the mask.
        refinement: equal for chains of which `refine` gives the same.
    """

    labels: LabelSpec
    images: ImageSpec
    before: tuple[_Part, ...]
    decision: _Part
    after: tuple[_Part, ...]
    refinement: str

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
        image = None if image is None else cache(image)
        return self.decide(self.refine(probability, image), image)

    def refine(self, probability: np.ndarray, image: LoadImage | None = None) -> np.ndarray:
        """The map after the steps that change the probability, float32; without such steps the map itself.

        Args and Raises: as `decode`.
        """
        self._check(probability)
        if self.before and probability.dtype == np.uint8:
            probability = probability.astype(np.float32) / np.float32(255)
        seen = _Image(image, probability.shape[1:], self.images)
        for part in self.before:
            probability = part(probability, seen)
        return probability

    def decide(self, probability: np.ndarray, image: LoadImage | None = None) -> np.ndarray:
        """The mask of a map that `refine` returned.

        Args and Raises: as `decode`.
        """
        if self.labels.exclusive:
            return self.labels.decide(probability)
        seen = _Image(image, probability.shape[1:], self.images)
        layers = self.decision(probability, seen)
        for part in self.after:
            layers = part(layers, seen)
        return self.labels.mask(layers)

    def _check(self, probability: np.ndarray) -> None:
        right = probability.ndim == 3 and len(probability) == self.labels.channels
        if not right or probability.dtype not in (np.float32, np.uint8):
            raise InferenceError(
                f"a probability map is {probability.dtype} {probability.shape}, expected float32 or uint8 (C, H, W) "
                f"with C = {self.labels.channels}"
            )


def build_chain(post: PostConfig, labels: LabelSpec, images: ImageSpec = PLAIN) -> Chain:
    """The chain of a config for a competition's classes and images.

    Steps that change the probability come first, ``crf`` before those of ``post.steps``; then the decision; then
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
    before = [(name, options) for name, step, options in asked_steps(post) if step.stage == "probability"]
    return Chain(
        labels, images, tuple(parts["probability"]), parts["decision"][0], tuple(parts["mask"]), refinement=repr(before)
    )


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
