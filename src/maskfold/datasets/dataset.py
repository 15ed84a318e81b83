"""A competition's samples as tensors: augmented crops for training, whole images for evaluation."""

from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import cv2
import numpy as np
import torch
from torch.utils.data import Dataset

from maskfold.competitions import Competition, Sample, Samples
from maskfold.datasets.mixing import Crop, Mixing
from maskfold.datasets.targets import ExtraImages, Smoothing, TargetSource
from maskfold.errors import ConfigError
from maskfold.instances import borders, components, depths
from maskfold.labels import Label, LabelSpec
from maskfold.losses.boundary import signed_distance
from maskfold.resizing import Shift, fit_image, fit_label, moved_label, scaled_size

# Targets that are made of the objects of a mask; nothing else has a use for them.
OF_INSTANCES = {"border", "inner"}

if TYPE_CHECKING:
    from maskfold.datasets.augment import Augmentation
    from maskfold.datasets.cache import ImageCache


class Draw(NamedTuple):
    """One training item: the image ``index``, drawn for the ``repeat``-th time in ``epoch`` (from 0)."""

    epoch: int
    index: int
    repeat: int = 0


class TrainDataset(Dataset[dict[str, Any]]):
    """Samples as a network is trained on them; the key is a `Draw`.

    The image is augmented by a pure function of (seed, epoch, index, repeat), whatever process asks, in whatever
    order. An item is a dict of

    - ``image`` (C, h, w), scaled, and cropped by the augmentation: see `image_tensor`;
    - ``id`` (str), ``index`` (place in ``samples``);
    - ``valid``, bool (1, h, w), the pixels that count, and ``targets`` by name, in the image's geometry: ``mask`` as
      `LabelSpec.target` has it, of bytes unless it is soft; and what ``needs`` names: ``distance``, float32 (C, h, w),
      ``presence``, float32 (C,), ``border`` and ``inner``, float32 (1, h, w).
    """

    def __init__(
        self,
        competition: Competition,
        samples: Samples,
        *,
        augment: "Augmentation | None" = None,
        scale: float = 1.0,
        seed: int = 0,
        needs: Set[str] = frozenset(),
        sources: Sequence[TargetSource] = (),
        smoothing: Smoothing | None = None,
        extra: Sequence[ExtraImages] = (),
        cache: "ImageCache | None" = None,
        mixing: Mixing | None = None,
        label_shift: Shift = (0.0, 0.0),
    ) -> None:
        """See the class.

        Args:
            competition: reads the images and masks.
            samples: samples with masks.
            augment: applied after scaling; None leaves images whole.
            scale: factor by which images are resized.
            seed: of the augmentation.
            needs: further targets that the loss asks for, keys of `EXTRAS`.
            sources: change the label of each image in turn, see `maskfold.datasets.targets`.
            smoothing: applied to the augmented label, for the target ``mask`` alone.
            extra: further images, whose indices follow those of ``samples``.
            cache: of ``samples`` at ``scale``; it changes no pixel.
            mixing: of augmented images, which must all have one size.
            label_shift: pixels by which labels at the size of their files stand beside the images; they are moved back.
        """
        unknown = needs - set(EXTRAS)
        if unknown:
            raise ConfigError(f"a loss needs {', '.join(sorted(unknown))}: the dataset makes mask, {', '.join(EXTRAS)}")
        self.competition = competition
        self.samples = samples
        self.scale, self.augment, self.seed, self.needs = scale, augment, seed, frozenset(needs)
        self.sources, self.smoothing = tuple(sources), smoothing
        self.extra, self.cache, self.mixing = tuple(extra), cache, mixing
        self.back = -label_shift[0], -label_shift[1]

    def __len__(self) -> int:
        return len(self.samples) + sum(len(images.samples) for images in self.extra)

    def __getitem__(self, key: Draw) -> dict[str, Any]:
        epoch, index, repeat = key
        image_id, crop = self._augmented(key, item_seed(self.seed, epoch, index + len(self) * repeat))
        if self.mixing is not None:
            crop = self.mixing(key, len(self), crop, lambda draw, seed: self._augmented(draw, seed)[1])
        image, label = crop
        return {"image": image_tensor(image), "id": image_id, "index": index, **self._truth(label)}

    def _augmented(self, key: Draw, seed: int) -> tuple[str, Crop]:
        image_id, image, label = self._scaled(key)
        if self.augment is not None:
            image, label = self.augment(image, label, seed)
        return image_id, Crop(image, label)

    def _scaled(self, key: Draw) -> tuple[str, np.ndarray, Label]:
        labels = self.competition.labels
        if key.index >= len(self.samples):
            sample, image, label = self._extra(key.index - len(self.samples))
            factor = self.scale * self.competition.resampling(sample)
            label = resize_label(self._moved_back(label), factor, labels)
            return sample.id, resize_image(image, factor), label
        sample = self.samples[key.index]
        if self.cache is None:
            native, factor = self.competition.image(sample.image), self.scale * self.competition.resampling(sample)
            return sample.id, resize_image(native, factor), self._label(sample, native.shape[:2], key)
        # What sources make may be another label at each draw; the cache has no instances.
        if self.sources or self.needs & OF_INSTANCES or any(self.back):
            label = self._label(sample, self.competition.size(sample.image), key)
            return sample.id, self.cache.image(sample), label
        return sample.id, *self.cache.pair(sample)

    def _label(self, sample: Sample, size: tuple[int, int], key: Draw) -> Label:
        """The scaled label of an image of ``size`` (H, W) in its file."""
        label = self.competition.label(sample.masks, size, id=sample.id)
        instances = label.instances if self.needs & OF_INSTANCES else None
        for source in self.sources:
            label = source(sample, label, key)
        factor = self.scale * self.competition.resampling(sample)
        return resize_label(self._moved_back(replace(label, instances=instances)), factor, self.competition.labels)

    def _moved_back(self, label: Label) -> Label:
        return moved_label(label, self.back, self.competition.labels) if any(self.back) else label

    def _extra(self, place: int) -> tuple[Sample, np.ndarray, Label]:
        for images in self.extra:
            if place < len(images.samples):
                sample = images.samples[place]
                image = images.image(sample)
                return sample, image, images.label(sample, image.shape[:2])
            place -= len(images.samples)
        raise IndexError(f"there are {len(self)} images")

    def _truth(self, label: Label) -> dict[str, Any]:
        labels = self.competition.labels
        # Before smoothing, which makes of a small object one that is hardly there.
        further = {name: torch.from_numpy(EXTRAS[name](label, labels)) for name in sorted(self.needs)}
        if self.smoothing is not None:
            label = self.smoothing(label)
        # Where some labels may be soft all are, or they would not fit into one batch.
        mixed_soft = self.mixing is not None and self.mixing.soft
        between = any(distance % 1 for distance in self.back)
        soft = self.sources or self.smoothing or self.extra or mixed_soft or between
        values = labels.shares(label) if soft else label.values
        return {
            "valid": torch.from_numpy(np.ascontiguousarray(label.valid))[None],
            "targets": {"mask": labels.target(torch.from_numpy(np.ascontiguousarray(values))), **further},
        }


class EvalDataset(Dataset[dict[str, Any]]):
    """Whole samples, never augmented; the key is the index. An item is a dict of

    - ``image`` (C, h, w), scaled: see `image_tensor`;
    - ``label``, where the sample has masks: a `Label` of that size (`Competition.scored_label`);
    - ``id`` (str), ``index``, and ``size``: (H, W) of the mask that is asked for (`Competition.scored_size`);
    - ``shift``, where there is one: pixels of that size by which a prediction is moved to the competition's masks.
    """

    def __init__(
        self,
        competition: Competition,
        samples: Samples,
        *,
        scale: float = 1.0,
        cache: "ImageCache | None" = None,
        label_shift: Shift = (0.0, 0.0),
    ) -> None:
        """See the class.

        Args:
            competition: reads the images and masks.
            samples: with or without masks.
            scale: factor by which images are resized.
            cache: of images at ``scale``; it changes no pixel.
            label_shift: pixels of the image's file by which the competition's masks stand beside it.
        """
        self.competition, self.samples, self.scale, self.cache = competition, samples, scale, cache
        self.label_shift = label_shift

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> dict[str, Any]:
        sample = self.samples[index]
        if self.cache is None:
            native = self.competition.image(sample.image)
            factor = self.scale * self.competition.resampling(sample)
            image, size = resize_image(native, factor), native.shape[:2]
        else:
            image, size = self.cache.image(sample), self.competition.size(sample.image)
        item = {
            "image": image_tensor(image),
            "id": sample.id,
            "index": index,
            "size": self.competition.scored_size(sample),
        }
        if sample.masks is not None:
            item["label"] = self.competition.scored_label(sample, size)
        if any(self.label_shift):
            factors = item["size"][0] / size[0], item["size"][1] / size[1]
            item["shift"] = tuple(map(float, np.multiply(self.label_shift, factors)))
        return item


def item_seed(seed: int, epoch: int, index: int) -> int:
    """One 64-bit seed from three numbers; neighbours give unrelated streams (numpy's SeedSequence)."""
    return int(np.random.SeedSequence([seed, epoch, index]).generate_state(1, np.uint64)[0])


def image_tensor(image: np.ndarray) -> torch.Tensor:
    """(C, H, W) of an image (H, W, C): uint8 and float32 as they are, uint16 as int32.

    torch lacks most operations on uint16.
    """
    image = image.astype(np.int32) if image.dtype == np.uint16 else image
    planes = np.empty((image.shape[2], *image.shape[:2]), image.dtype)  # never the image itself, which may be a cache's
    cv2.split(image, list(planes))  # several times faster than numpy's copy
    return torch.from_numpy(planes)


def resize_image(image: np.ndarray, scale: float) -> np.ndarray:
    """`fit_image` at ``scale``: (H, W, C) or (H, W)."""
    return fit_image(image, scaled_size(image.shape[:2], scale))


def resize_label(label: Label, scale: float, labels: LabelSpec) -> Label:
    """`fit_label` at ``scale``."""
    return fit_label(label, scaled_size(label.valid.shape, scale), labels)


def signed_distances(label: Label, labels: LabelSpec) -> np.ndarray:
    """float32 (C, H, W): signed distance to the boundary of each class, of what counts of it."""
    return np.stack([signed_distance(layer & label.valid) for layer in labels.layers(labels.hard(label))])


def presence(label: Label, labels: LabelSpec) -> np.ndarray:
    """float32 (C,): whether each class is anywhere among the pixels that count, 0 or 1; of shares the largest."""
    return np.where(label.valid, labels.shares(label), 0).max((1, 2)).astype(np.float32)


def border(label: Label, labels: LabelSpec) -> np.ndarray:
    """float32 (1, H, W): 1 where two objects touch, see `maskfold.instances.borders`."""
    return borders(_instances(label, labels)).astype(np.float32)[None]


def inner(label: Label, labels: LabelSpec) -> np.ndarray:
    """float32 (1, H, W): how far inside of its object a pixel is, see `maskfold.instances.depths`."""
    return depths(_instances(label, labels))[None]


def _instances(label: Label, labels: LabelSpec) -> np.ndarray:
    return components(labels.hard(label)) if label.instances is None else label.instances


# What losses ask for beside the mask, made here because the data workers have the time.
EXTRAS: Mapping[str, Callable[[Label, LabelSpec], np.ndarray]] = {
    "distance": signed_distances,
    "presence": presence,
    "border": border,
    "inner": inner,
}
