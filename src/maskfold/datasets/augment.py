"""Augmentation of one image and its mask: presets by name, or a list of albumentations, and the random crop.

The crop is the same for all: where an image is smaller than the crop it is padded by reflection, mask included.
"""

import copy
import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Literal

import albumentations as A
import cv2
import numpy as np

from maskfold.datasets.fused import fused
from maskfold.datasets.transforms import build_transforms
from maskfold.datasets.units import Transforms, in_units
from maskfold.errors import AugmentationError, nearest
from maskfold.images import PLAIN, ImageSpec
from maskfold.labels import Label

# Transforms of the whole image; of the crop; of the crop's colours.
Preset = tuple[Transforms, Transforms, Transforms]

# What a transform's ``fill_mask`` writes where pixels shall not count.
FILLED = np.uint8(255)

# ResizeStepScaling of PaddleSeg: factors 0.5, 0.75 … 2, all equally likely.
STEP_SCALES = (0.5, 0.75, 1.0, 1.25, 1.5, 1.75, 2.0)

# What is not for all images: colours are for red, green and blue; some work on eight bits; OpenCV has four channels.
LIMITS: dict[type, Callable[[ImageSpec], bool]] = {
    A.HueSaturationValue: lambda images: images.channels == 3,
    A.ToGray: lambda images: images.channels == 3,
    A.CLAHE: lambda images: images.channels == 3 and images.dtype == "uint8",
    A.ImageCompression: lambda images: images.channels == 3 and images.dtype == "uint8",
    A.Downscale: lambda images: images.channels <= 4,
}


class Augmentation:
    """Callable ``(image, label, seed) -> (image, label)``: a pure function of its arguments, picklable.

    ``image`` is (H, W, C) of the channels and dtype of ``images``, the label's values are (H, W) or (C, H, W); both
    come back as (crop, crop), same types. Masks are never interpolated (nearest neighbour); soft values move with the
    image, bilinearly, as means over the pixels that count. Where a transform uncovers
    what was not in the image it fills 0, which is background, or, with ``fill_mask: 255``, pixels that do not count.
    """

    def __init__(
        self,
        before: Transforms,
        after: Transforms,
        *,
        crop: int,
        images: ImageSpec,
        preset: bool = False,
        exclusive: bool = False,
    ) -> None:
        """See `build_augmentation`.

        ``before`` sees the whole image, ``after`` only the crop. Those of a preset are fused where they can be.
        """
        self.crop, self.images, self.exclusive = crop, images, exclusive
        # What does not count is moved as a second mask, which holds 255 there, as a fill of 255 does.
        self.transforms = A.Compose(
            [*before, *_random_crop(crop), *after],
            additional_targets={"uncounted": "mask", "instances": "mask"},
            seed=0,
        )
        self.soft_transforms = _bilinear(copy.deepcopy(self.transforms))
        self.fused = fused(self.transforms, images.channels) if preset else None

    def __call__(self, image: np.ndarray, label: Label, seed: int) -> tuple[np.ndarray, Label]:
        # Compose.set_random_seed would give every transform a generator of its own from this one seed: all would
        # draw the same numbers, and two flips would always happen together. So they share one.
        transforms = self.soft_transforms if label.soft else self.transforms
        transforms.set_random_state(np.random.default_rng(seed), random.Random(seed))
        if self.fused is not None and not label.soft and label.instances is None:
            return self.fused(image, label)
        image = image if image.flags.writeable else image.copy()
        if not label.soft:
            return self._moved_mask(image, label)
        image_there, moved = self._moved_soft(image, label)
        if label.instances is None:
            return image_there, moved
        # The same draws, without interpolation.
        numbers = self(image, Label(label.instances.astype(np.uint16), label.valid), seed)[1].values
        return image_there, replace(moved, instances=np.where(moved.valid, numbers, 0).astype(np.int32))

    def _moved_mask(self, image: np.ndarray, label: Label) -> tuple[np.ndarray, Label]:
        layered = label.values.ndim == 3
        mask = np.ascontiguousarray(np.moveaxis(label.values, 0, -1)) if layered else label.values
        uncounted = np.where(label.valid, np.uint8(0), FILLED)
        # OpenCV moves no int32; no image has 65536 objects.
        numbers = {} if label.instances is None else {"instances": label.instances.astype(np.uint16)}
        result = self._transformed(self.transforms, image=image, mask=mask, uncounted=uncounted, **numbers)
        self._check(result["image"], result["mask"], mask)
        valid = result["uncounted"] != FILLED
        values = result["mask"].reshape(*valid.shape, -1).transpose(2, 0, 1) if layered else result["mask"]
        moved = Label(np.where(valid, values, values.dtype.type(0)), valid)
        if numbers:
            moved = replace(moved, instances=np.where(valid, result["instances"], 0).astype(np.int32))
        return result["image"], moved

    def _moved_soft(self, image: np.ndarray, label: Label) -> tuple[np.ndarray, Label]:
        # What does not count is 255, as a fill may be, and has its part in values that were interpolated. The second
        # channel of each layer tells how large a part, to be taken out again: the same, since the two move as one.
        uncounted = np.where(label.valid, np.float32(0), np.float32(FILLED))
        shares = _without_first(label.values) if self.exclusive else label.values
        layers = np.stack([np.maximum(shares, uncounted), np.broadcast_to(uncounted, shares.shape)], -1)
        result = self._transformed(self.soft_transforms, image=image, masks=layers)
        moved = np.asarray(result["masks"])
        self._check(result["image"], moved[0], layers[0])
        values, parts = moved[..., 0], moved[..., 1]
        valid = parts[0] < np.float32(FILLED) / 2
        values = (values - parts) / np.where(valid, 1 - parts / np.float32(FILLED), np.float32(1))
        values = _without_first(values) if self.exclusive else values
        return result["image"], Label(np.where(valid, values, np.float32(0)).clip(0, 1), valid)

    def _transformed(self, transforms: A.Compose, **arrays: Any) -> dict[str, np.ndarray]:
        try:
            return transforms(**arrays)
        except (ValueError, TypeError, KeyError, cv2.error) as error:
            height, width = arrays["image"].shape[:2]
            raise AugmentationError(
                f"data.augment cannot be applied to images of {self.images.channels} channels of {self.images.dtype}, "
                f"here of {height}x{width} pixels, and their labels ({' '.join(str(error).split())}): leave out what "
                "needs larger images, labels of another kind, or 8 bits of red, green and blue"
            ) from None

    def _check(self, image: np.ndarray, mask: np.ndarray, before: np.ndarray) -> None:
        size, dtype = (self.crop, self.crop), self.images.dtype
        shape = (*size, self.images.channels)
        if (image.dtype, mask.dtype, image.shape, mask.shape[:2]) != (dtype, before.dtype, shape, size):
            raise AugmentationError(
                f"data.augment made a {image.dtype} image {image.shape} and a {mask.dtype} mask {mask.shape}: expected "
                f"{dtype} {shape} and {before.dtype} {size}, so leave out what changes the type or the channels"
            )


class StrongColours:
    """Callable ``(image, seed) -> image``: other light, colours and sharpness, far from what was; no pixel is moved.

    A pure function of its arguments, picklable. Images (H, W, C) keep their channels and dtype, those of ``images``;
    what does not fit them is left out, as in presets.
    """

    def __init__(self, images: ImageSpec = PLAIN) -> None:
        self.transforms = A.Compose(in_units(_applicable(_strong(), images), images), seed=0)

    def __call__(self, image: np.ndarray, seed: int) -> np.ndarray:
        self.transforms.set_random_state(np.random.default_rng(seed), random.Random(seed))
        return self.transforms(image=image)["image"]


def build_augmentation(
    spec: str | list[Any],
    *,
    crop: int,
    images: ImageSpec = PLAIN,
    colours: bool = True,
    exclusive: bool = False,
) -> Augmentation:
    """Build the augmentation of ``data.augment``: a preset's name or a list (see `maskfold.datasets.transforms`).

    Args:
        spec: a key of `PRESETS`, or a list of albumentations, applied to the whole image before the crop.
        crop: side of the square crop in pixels.
        images: what is augmented. Presets leave out what needs other channels or values.
        colours: False leaves out whatever changes the image and not the mask.
        exclusive: whether soft labels have a layer of the background, class 0: where a list's transforms uncover what
            was not in the image, it is 1. Presets uncover nothing.

    Raises:
        AugmentationError: unknown preset or transform (the nearest is named), or arguments it does not take.
    """
    if not isinstance(spec, str):
        before = build_transforms(spec)
        before = before if colours else _without_colours(before)
        return Augmentation(in_units(before, images), [], crop=crop, images=images, exclusive=exclusive)
    if spec not in PRESETS:
        raise AugmentationError(f"data.augment is the unknown preset {spec}: {nearest(spec, list(PRESETS))}")
    before, after, colour = PRESETS[spec]()
    if colours:
        after = [*after, *in_units(_applicable(colour, images), images)]
    return Augmentation(before, after, crop=crop, images=images, preset=True)


def _without_first(shares: np.ndarray) -> np.ndarray:
    """Layers (C, H, W) with what is not class 0 in its place, so that a fill of 0 is class 0; its own inverse."""
    return np.concatenate([1 - shares[:1], shares[1:]])


def _bilinear(transforms: A.Compose) -> A.Compose:
    """The same transforms with masks moved as images are."""
    waiting: list[Any] = list(transforms.transforms)
    while waiting:
        transform = waiting.pop()
        waiting += getattr(transform, "transforms", [])
        if hasattr(transform, "mask_interpolation"):
            transform.mask_interpolation = cv2.INTER_LINEAR
    return transforms


def _random_crop(crop: int) -> Transforms:
    pad = A.PadIfNeeded(crop, crop, position="random", border_mode=cv2.BORDER_REFLECT_101)
    return [pad, A.RandomCrop(crop, crop)]


def _applicable(transforms: Transforms, images: ImageSpec) -> Transforms:
    """The transforms of a preset that can be applied to the images; a choice of several keeps those that can."""
    kept = []
    for transform in transforms:
        if isinstance(transform, A.BaseCompose):
            inner = _applicable(list(transform.transforms), images)
            if len(inner) == len(transform.transforms):
                kept.append(transform)
            elif inner:
                kept.append(A.OneOf(inner, p=transform.p))
        elif LIMITS.get(type(transform), lambda images: True)(images):
            kept.append(transform)
    return kept


def _without_colours(transforms: Transforms) -> Transforms:
    """The same transforms; those of the image alone do nothing, so that choices among the others stay as they were."""
    kept = []
    for transform in transforms:
        if isinstance(transform, A.BaseCompose):
            transform.transforms = _without_colours(list(transform.transforms))
        kept.append(A.NoOp(p=transform.p) if isinstance(transform, A.ImageOnlyTransform) else transform)
    return kept


def _none() -> Preset:
    return [], [], []


def _flips() -> Preset:
    return [], [A.HorizontalFlip(p=0.5), A.VerticalFlip(p=0.5)], []


def _d4() -> Preset:
    """All eight flips and right-angled turns of a square."""
    return [], [A.D4(p=1.0)], []


def _d4_color() -> Preset:
    return [], [A.D4(p=1.0)], _color()


def _heavy() -> Preset:
    """For tiles of many cameras and seasons: what lens, air, sensor and file format do to a picture."""
    area_linear: dict[Literal["downscale", "upscale"], int] = {"downscale": cv2.INTER_AREA, "upscale": cv2.INTER_LINEAR}
    blurs: Transforms = [
        A.GaussianBlur(sigma_limit=(0.5, 1.5), p=1.0),
        A.MotionBlur(blur_limit=(3, 9), p=1.0),
        A.Downscale(scale_range=(0.4, 0.8), interpolation_pair=area_linear, p=1.0),
    ]
    blur = A.OneOf(blurs, p=0.3)
    # A fractal veil that brightens and greys: fog. RandomFog draws particles one by one, 330 ms at 512x512.
    fog = A.PlasmaBrightnessContrast(brightness_range=(0.1, 0.4), contrast_range=(-0.4, -0.1), p=0.1)
    noise = A.OneOf([A.GaussNoise(std_range=(0.01, 0.06), p=1.0), A.ImageCompression("jpeg", (50, 90), p=1.0)], p=0.3)
    local = A.OneOf([A.CLAHE(clip_limit=(1.0, 3.0), p=1.0), A.Sharpen(p=1.0)], p=0.2)
    return [], [A.D4(p=1.0)], [*_color(), local, fog, blur, noise]


def _scale_crop() -> Preset:
    """Step scaling, padded random crop, horizontal flip: as PaddleSeg trains on street scenes."""
    return [A.OneOf([_scale_by(factor) for factor in STEP_SCALES], p=1.0)], [A.HorizontalFlip(p=0.5)], []


def _scale_by(factor: float) -> A.RandomScale:
    return A.RandomScale(
        scale_limit=(factor - 1, factor - 1),  # RandomScale adds the 1
        area_for_downscale="image",
        # cv2's plain nearest neighbour is up to half a pixel beside the image's interpolation.
        mask_interpolation=cv2.INTER_NEAREST_EXACT,
        p=1.0,
    )


def _color() -> Transforms:
    return [
        A.RandomBrightnessContrast(brightness_limit=0.2, contrast_limit=0.2, p=0.5),
        A.RandomGamma(gamma_limit=(80, 125), p=0.3),
        A.HueSaturationValue(hue_shift_limit=10, sat_shift_limit=25, val_shift_limit=15, p=0.5),
    ]


def _strong() -> Transforms:
    return [
        A.RandomBrightnessContrast(brightness_limit=0.4, contrast_limit=0.4, p=0.8),
        A.HueSaturationValue(hue_shift_limit=25, sat_shift_limit=60, val_shift_limit=25, p=0.8),
        A.ToGray(p=0.2),
        A.GaussianBlur(sigma_limit=(0.3, 2.0), p=0.5),
    ]


# What does not need the whole image is done to the crop: the result has the same distribution, and a crop has fewer
# pixels.
PRESETS: dict[str, Callable[[], Preset]] = {
    "none": _none,
    "flips": _flips,
    "d4": _d4,
    "d4_color": _d4_color,
    "heavy": _heavy,
    "scale_crop": _scale_crop,
}
