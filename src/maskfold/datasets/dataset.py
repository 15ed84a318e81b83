"""A competition's samples as tensors: augmented crops for training, whole images for evaluation."""

from collections.abc import Callable, Mapping, Set
from typing import TYPE_CHECKING, Any, NamedTuple

import cv2
import numpy as np
import torch
from torch.utils.data import Dataset

from maskfold.competitions import Competition, Sample, Samples
from maskfold.losses.boundary import signed_distance

if TYPE_CHECKING:
    from maskfold.datasets.augment import Augmentation


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
    - ``valid``, bool (1, h, w), the pixels that count, and ``targets`` by name, in the image's geometry: ``mask``,
      float32 (1, h, w) of 0, 1 or 255 (binary), else int64 (h, w) of classes or 255; and what ``needs`` names,
      e.g. ``distance``: float32 (C, h, w).
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
    ) -> None:
        """See the class.

        Args:
            competition: reads the images and masks.
            samples: samples with masks.
            augment: applied after scaling; None leaves images whole.
            scale: factor by which images are resized.
            seed: of the augmentation.
            needs: extras that the loss asks for, keys of `EXTRAS`.
        """
        unknown = needs - set(EXTRAS)
        if unknown:
            raise ValueError(f"a loss needs {', '.join(sorted(unknown))}: the dataset makes {', '.join(EXTRAS)}")
        self.competition = competition
        self.samples = samples
        self.scale, self.augment, self.seed, self.needs = scale, augment, seed, frozenset(needs)

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, key: Draw) -> dict[str, Any]:
        epoch, index, repeat = key
        sample = self.samples[index]
        image, mask = self._scaled(sample)
        if self.augment is not None:
            image, mask = self.augment(image, mask, item_seed(self.seed, epoch, index + len(self) * repeat))
        return {"image": image_tensor(image), "id": sample.id, "index": index, **self._truth(mask)}

    def _scaled(self, sample: Sample) -> tuple[np.ndarray, np.ndarray]:
        native = self.competition.image(sample.image)
        mask = self.competition.mask(sample.masks, native.shape[:2], id=sample.id)
        binary = self.competition.num_classes == 1
        return resize_image(native, self.scale), resize_mask(mask, self.scale, binary=binary)

    def _truth(self, mask: np.ndarray) -> dict[str, Any]:
        classes = self.competition.num_classes
        further = {name: torch.from_numpy(EXTRAS[name](mask, classes)) for name in sorted(self.needs)}
        return {
            "valid": torch.from_numpy(mask != self.competition.ignore_index)[None],
            "targets": {"mask": _training_target(mask, classes), **further},
        }


class EvalDataset(Dataset[dict[str, Any]]):
    """Whole samples, never augmented; the key is the index. An item is a dict of

    - ``image`` (C, h, w), scaled: see `image_tensor`;
    - ``target``, where the sample has masks: uint8 (H, W) in the file's geometry;
    - ``id`` (str), ``index``, and ``size``: (H, W) of the mask that is asked for (`Competition.mask_size`).
    """

    def __init__(self, competition: Competition, samples: Samples, *, scale: float = 1.0) -> None:
        """See the class.

        Args:
            competition: reads the images and masks.
            samples: with or without masks.
            scale: factor by which images are resized.
        """
        self.competition, self.samples, self.scale = competition, samples, scale

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> dict[str, Any]:
        sample = self.samples[index]
        native = self.competition.image(sample.image)
        item = {
            "image": image_tensor(resize_image(native, self.scale)),
            "id": sample.id,
            "index": index,
            "size": self.competition.mask_size(sample),
        }
        if sample.masks is not None:
            mask = self.competition.mask(sample.masks, native.shape[:2], id=sample.id)
            item["target"] = torch.from_numpy(mask)
        return item


def item_seed(seed: int, epoch: int, index: int) -> int:
    """One 64-bit seed from three numbers; neighbours give unrelated streams (numpy's SeedSequence)."""
    return int(np.random.SeedSequence([seed, epoch, index]).generate_state(1, np.uint64)[0])


def image_tensor(image: np.ndarray) -> torch.Tensor:
    """(C, H, W) of an image (H, W, C): uint8 and float32 as they are, uint16 as int32.

    torch lacks most operations on uint16.
    """
    image = image.astype(np.int32) if image.dtype == np.uint16 else image
    return torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))


def scaled_size(size: tuple[int, int], scale: float) -> tuple[int, int]:
    """(H, W) after scaling: rounded, at least one pixel."""
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def resize_image(image: np.ndarray, scale: float) -> np.ndarray:
    """Scale (H, W, C) or (H, W) of uint8, uint16 or float32: area average down, bilinear up."""
    if scale == 1:
        return image
    height, width = scaled_size(image.shape[:2], scale)
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    # OpenCV averages areas of at most four channels, and drops an axis of one.
    groups = np.split(image, range(4, image.shape[2], 4), axis=2) if image.ndim == 3 else [image]
    resized = [cv2.resize(group, (width, height), interpolation=how) for group in groups]
    return np.concatenate([np.atleast_3d(part) for part in resized], axis=2).reshape(height, width, *image.shape[2:])


def resize_mask(mask: np.ndarray, scale: float, *, binary: bool) -> np.ndarray:
    """Scale uint8 (H, W) labels with 255 = not scored; the pixel centres are those of `resize_image`.

    Classes: nearest neighbour. Binary: the foreground is resized like the image and cut at one half, which keeps
    the area of thin shapes that nearest neighbour would break up; 255 goes by nearest neighbour.
    """
    if scale == 1:
        return mask
    height, width = scaled_size(mask.shape, scale)
    nearest = cv2.resize(mask, (width, height), interpolation=cv2.INTER_NEAREST_EXACT)
    if not binary:
        return nearest
    share = resize_image(np.where(mask == 1, np.uint8(200), np.uint8(0)), scale)
    return np.where(nearest == 255, nearest, (share >= 100).astype(np.uint8))


def signed_distances(mask: np.ndarray, num_classes: int) -> np.ndarray:
    """float32 (C, H, W): signed distance to each class's boundary; binary: to that of the foreground."""
    classes = [1] if num_classes == 1 else range(num_classes)
    return np.stack([signed_distance(mask == value) for value in classes])


def _training_target(mask: np.ndarray, num_classes: int) -> torch.Tensor:
    target = torch.from_numpy(np.ascontiguousarray(mask))
    return target.to(torch.float32)[None] if num_classes == 1 else target.to(torch.int64)


# What losses ask for beside the target, made here because the data workers have the time: (mask, classes) -> array.
EXTRAS: Mapping[str, Callable[[np.ndarray, int], np.ndarray]] = {"distance": signed_distances}
