"""The decoding chain: steps that change the probability, gates, the decision, steps after it."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from maskfold.config import PostConfig
from maskfold.errors import ConfigError, InferenceError
from maskfold.images import PLAIN, ImageSpec
from maskfold.inference.decoding.options import BUILT_IN, asked_steps, has_one_option, key_of, step_objects
from maskfold.inference.decoding.parts import Beside, LoadImage, Part
from maskfold.inference.decoding.small import Small
from maskfold.inference.decoding.steps import STAGES
from maskfold.labels import LabelSpec

if TYPE_CHECKING:
    from maskfold.inference.predict import Prediction


@dataclass(frozen=True)
class Chain:
    """How a competition's probabilities become masks; see `build_chain`.

    Attributes:
        labels: the classes.
        images: how the images are stored.
        before: the steps that change the probability.
        gates: the steps that rule classes out.
        decision: the threshold.
        small: the threshold for a class of which little is predicted, if any.
        after: the steps that change the mask.
        instances: the step that tells objects apart, if any.
        refinement: equal for chains of which `refine` gives the same.
    """

    labels: LabelSpec
    images: ImageSpec
    before: tuple[Part, ...]
    gates: tuple[Part, ...]
    decision: Part
    small: Part | None
    after: tuple[Part, ...]
    instances: Part | None
    refinement: str

    def __call__(self, prediction: "Prediction") -> np.ndarray:
        """The mask of a prediction, as in `decode`."""
        return self.decode(prediction.probability, prediction.image, prediction.presence, prediction.inside)

    def decode(
        self,
        probability: np.ndarray,
        image: LoadImage | None = None,
        presence: np.ndarray | None = None,
        inside: np.ndarray | None = None,
    ) -> np.ndarray:
        """The mask of a probability map (C, H, W): uint8, in the form that `maskfold.labels` has for the task.

        Where objects are told apart it is a mask of instances instead, int32 (H, W), see `maskfold.instances`.

        Args:
            probability: float32, or uint8 v that stands for the float32 v / 255 and gives the same mask.
            image: loads the image; called once, and only if a step asks for the image. Where it has another size
                than the map, it is resized to the map's.
            presence: float32 (C,), the probability that each class is anywhere in the image.
            inside: float32 (H, W), what `Prediction.inside` is; for a step that tells objects apart.

        Raises:
            InferenceError: a map of another shape or type, an image that is asked for and not there, a step that
                changes the shape.
            ConfigError: a presence that is asked for and not there.
        """
        image = None if image is None else cache(image)
        return self.decide(self.refine(probability, image, presence), image, presence, inside)

    def refine(
        self, probability: np.ndarray, image: LoadImage | None = None, presence: np.ndarray | None = None
    ) -> np.ndarray:
        """The map after the steps that change the probability, float32; without such steps the map itself.

        Args and Raises: as `decode`.
        """
        self._check(probability)
        self.check_presence(presence is not None)
        return _changed(probability, self.before, self._beside(probability, image, presence))

    def decide(
        self,
        probability: np.ndarray,
        image: LoadImage | None = None,
        presence: np.ndarray | None = None,
        inside: np.ndarray | None = None,
    ) -> np.ndarray:
        """The mask of a map that `refine` returned.

        Args and Raises: as `decode`.
        """
        self.check_presence(presence is not None)
        beside = self._beside(probability, image, presence, inside)
        probability = _changed(probability, self.gates, beside)
        if self.labels.exclusive:
            return self.labels.decide(probability)
        layers = self.decision(probability, beside)
        if self.small is not None:
            layers = _where_small(self.small, layers, probability, beside)
        for part in self.after:
            layers = part(layers, beside)
        mask = self.labels.mask(layers)
        return mask if self.instances is None else _told_apart(self.instances, mask, probability, beside)

    @property
    def needs_presence(self) -> list[str]:
        """Names of the steps that ask for the presence."""
        parts = (*self.before, *self.gates, *self.after)
        return [part.name for part in parts if part.steps[0].needs_presence]

    @property
    def reach(self) -> int:
        """How far, in pixels, a mask may depend on the probabilities around a pixel, gates left aside."""
        return sum(part.reach for part in (*self.before, self.decision, *self.after))

    @property
    def sees_all(self) -> list[str]:
        """Names of the steps that look at a whole image: rules on all its pixels, and what tells objects apart."""
        gates = [part.name for part in self.gates if not part.steps[0].needs_presence]
        return [*gates, *(part.name for part in (self.small, self.instances) if part is not None)]

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

    def _beside(
        self,
        probability: np.ndarray,
        image: LoadImage | None,
        presence: np.ndarray | None,
        inside: np.ndarray | None = None,
    ) -> Beside:
        return Beside(image, probability.shape[1:], self.images, presence, inside)

    def _check(self, probability: np.ndarray) -> None:
        right = probability.ndim == 3 and len(probability) == self.labels.channels
        if not right or probability.dtype not in (np.float32, np.uint8):
            raise InferenceError(
                f"a probability map is {probability.dtype} {probability.shape}, expected float32 or uint8 (C, H, W) "
                f"with C = {self.labels.channels}"
            )


def _changed(probability: np.ndarray, parts: Sequence[Part], beside: Beside) -> np.ndarray:
    if parts:
        probability = _as_floats(probability)
    for part in parts:
        probability = part(probability, beside)
    return probability


def _where_small(part: Part, layers: np.ndarray, probability: np.ndarray, beside: Beside) -> np.ndarray:
    """The masks (C, H, W) that the other threshold makes of classes of which there is little, and the rest as it is."""
    steps: Any = part.steps
    applies = [step.applies(layer) for step, layer in zip(steps, layers, strict=True)]
    if not any(applies):
        return layers
    return np.where(np.array(applies)[:, None, None], part(probability, beside), layers)


def _told_apart(part: Part, mask: np.ndarray, probability: np.ndarray, beside: Beside) -> np.ndarray:
    """The instances of a mask (H, W)."""
    step: Any = part.steps[0]
    image = beside.image_for(part.name, step)
    found = step(mask, image, probability=_as_floats(probability)[0], inside=beside.inside)
    if found.shape != mask.shape or found.dtype != np.int32:
        raise InferenceError(
            f"the decoding step {part.name} made {found.dtype} {found.shape} of a mask {mask.shape}: expected the "
            f"number of each pixel's instance, int32 {mask.shape}"
        )
    return found


def _as_floats(probability: np.ndarray) -> np.ndarray:
    return probability.astype(np.float32) / np.float32(255) if probability.dtype == np.uint8 else probability


def build_chain(post: PostConfig, labels: LabelSpec, images: ImageSpec = PLAIN) -> Chain:
    """The chain of a config for a competition's classes and images.

    Steps that change the probability come first, ``crf`` before those of ``post.steps``; then the gates, ``presence``,
    ``certain`` and ``top_mean``; then the decision, by the threshold and ``small``; then ``fill_holes``, ``min_area``
    and the other steps of ``post.steps``; at last ``watershed``. Steps that would change nothing are left out.
    Exclusive classes are decided for by the most probable one: they have no threshold, and no step that would change
    the mask of a single class.

    Raises:
        MaskfoldError: a step that is not there, options that do not fit it or the classes, a step after the decision
            where classes exclude each other, one that tells objects apart where there are several classes.
    """
    parts: dict[str, list[Part]] = {stage: [] for stage in STAGES}
    for name, step, options in asked_steps(post):
        part = Part(name, tuple(step_objects(name, step, options, labels)))
        if part.idle:
            continue
        if labels.exclusive and (step.stage == "mask" or step is Small):
            raise _refused(name, options, labels)
        if labels.task != "binary" and step.stage == "instances":
            raise ConfigError(
                f"{key_of(name, '').rstrip('.')} tells the objects of one class apart, and there are "
                f"{', '.join(labels.class_names)}: set it to null"
            )
        parts[step.stage].append(part)
    if len(parts["instances"]) > 1:
        names = " and ".join(part.name for part in parts["instances"])
        raise ConfigError(f"{names} both tell objects apart: leave out all but one")
    before = [(name, options) for name, step, options in asked_steps(post) if step.stage == "probability"]
    return Chain(
        labels,
        images,
        before=tuple(parts["probability"]),
        gates=tuple(parts["gate"]),
        decision=parts["decision"][0],
        small=next(iter(parts["decision"][1:]), None),
        after=tuple(parts["mask"]),
        instances=next(iter(parts["instances"]), None),
        refinement=repr(before),
    )


def _refused(name: str, options: dict[str, Any], labels: LabelSpec) -> ConfigError:
    advice = "set it to 0" if has_one_option(name) else "leave it out"
    value = f" is {options['value']}" if has_one_option(name) else " is a step after the decision"
    return ConfigError(
        f"{key_of(name, '').rstrip('.')}{value}, but the {labels.channels} classes exclude each other, and it changes "
        f"the mask of one class alone: {advice}"
    )
