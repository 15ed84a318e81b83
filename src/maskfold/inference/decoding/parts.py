"""Parts of the chain, and what their steps may see beside a map."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from maskfold.errors import InferenceError
from maskfold.images import ImageSpec, to_rgb
from maskfold.inference.decoding.steps import Step
from maskfold.resizing import fit_image

LoadImage = Callable[[], np.ndarray]


@dataclass(frozen=True)
class Part:
    """A step of the chain: an object for each class, or one for all of them."""

    name: str
    steps: tuple[Step, ...]

    def __call__(self, layers: np.ndarray, beside: "Beside") -> np.ndarray:
        step = self.steps[0]
        image = beside.image_for(self.name, step)
        if not step.each_class:
            found = np.asarray(_apply(step, layers, image, beside.presence))
        else:
            shares = [None] * len(layers) if beside.presence is None else beside.presence
            each = zip(self.steps, layers, shares, strict=True)
            found = np.stack([_apply(one, layer, image, share) for one, layer, share in each])
        if found.shape != layers.shape:
            raise InferenceError(
                f"the decoding step {self.name} made {found.shape} of {layers.shape}: it must keep the shape"
            )
        return found.astype(np.float32 if step.stage in ("probability", "gate") else np.uint8, copy=False)

    @property
    def reach(self) -> int:
        """That of the class with the largest."""
        return max((step.reach for step in self.steps if not step.idle), default=0)

    @property
    def idle(self) -> bool:
        """Whether it changes nothing, for any class."""
        return all(step.idle for step in self.steps)


def _apply(step: Step, layers: np.ndarray, image: np.ndarray | None, presence: Any) -> np.ndarray:
    if step.idle:
        return layers
    return step(layers, image, **({"presence": presence} if step.needs_presence else {}))


@dataclass(frozen=True)
class Beside:
    """What steps may see beside a map: the presence, and the image, loaded once and only if a step asks for it."""

    load: LoadImage | None
    size: tuple[int, int]
    spec: ImageSpec
    presence: np.ndarray | None
    inside: np.ndarray | None

    def image_for(self, name: str, step: Step) -> np.ndarray | None:
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
