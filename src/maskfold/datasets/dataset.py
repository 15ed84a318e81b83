"""A competition's samples as tensors: augmented crops for training, whole images for evaluation."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pandas as pd
import torch
from torch.utils.data import Dataset

from maskfold.competitions import Competition
from maskfold.losses.boundary import signed_distance

if TYPE_CHECKING:
    from maskfold.datasets.augment import Augmentation


class SegmentationDataset(Dataset[dict[str, Any]]):
    """Samples of a competition; the key decides what an item is.

    ``dataset[index]`` is for evaluation: the whole image, never augmented. ``dataset[epoch, index]`` is for
    training: the image augmented by a pure function of (seed, epoch, index), whatever process asks, in whatever
    order. For training, index + n, index + 2n … are further draws of the image ``index``, augmented differently.

    An item is a dict of

    - ``image``: uint8 (3, h, w), RGB, scaled by ``scale``, and cropped by the augmentation;
    - ``target``, where the sample has masks. Training: float32 (1, h, w) of 0, 1 or 255 (binary), else int64
      (h, w) of classes or 255, in the image's geometry. Evaluation: uint8 (H, W) at native size;
    - ``id`` (str), ``index`` (row of ``samples``), ``size`` ((H, W) of the file);
    - training only: what ``needs`` names, e.g. ``distance``: float32 (C, h, w).
    """

    def __init__(
        self,
        competition: Competition,
        samples: pd.DataFrame,
        *,
        scale: float = 1.0,
        augment: "Augmentation | None" = None,
        seed: int = 0,
        needs: frozenset[str] | set[str] = frozenset(),
    ) -> None:
        """See the class.

        Args:
            competition: reads the images and masks.
            samples: rows of ``competition.samples()``: columns id, image, masks.
            scale: factor by which images are resized.
            augment: applied for training, after scaling; None leaves images whole.
            seed: of the augmentation.
            needs: extras that the loss asks for, keys of `EXTRAS`.
        """
        unknown = set(needs) - set(EXTRAS)
        if unknown:
            raise ValueError(f"a loss needs {', '.join(sorted(unknown))}: the dataset makes {', '.join(EXTRAS)}")
        self.competition = competition
        self.ids = list(samples["id"])
        self.images = list(samples["image"])
        self.masks = list(samples["masks"])
        self.scale, self.augment, self.seed, self.needs = scale, augment, seed, frozenset(needs)

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, key: int | tuple[int, int]) -> dict[str, Any]:
        if isinstance(key, tuple):
            return self._training_item(*key)
        image = self.competition.image(self.images[key])
        item = self._item(key, image, resize_image(image, self.scale))
        if self.masks[key] is not None:
            item["target"] = torch.from_numpy(self._mask(key, image.shape[:2]))
        return item

    def _training_item(self, epoch: int, draw: int) -> dict[str, Any]:
        index = draw % len(self)
        native = self.competition.image(self.images[index])
        image = resize_image(native, self.scale)
        mask = resize_mask(self._mask(index, native.shape[:2]), self.scale, binary=self.competition.num_classes == 1)
        if self.augment is not None:
            image, mask = self.augment(image, mask, item_seed(self.seed, epoch, draw))
        item = self._item(index, native, image)
        item["target"] = _training_target(mask, self.competition.num_classes)
        for name in sorted(self.needs):
            item[name] = torch.from_numpy(EXTRAS[name](mask, self.competition.num_classes))
        return item

    def _item(self, index: int, native: np.ndarray, image: np.ndarray) -> dict[str, Any]:
        return {
            "image": torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1))),
            "id": self.ids[index],
            "index": index,
            "size": native.shape[:2],
        }

    def _mask(self, index: int, shape: tuple[int, int]) -> np.ndarray:
        return self.competition.mask(self.masks[index], shape, id=self.ids[index])


def item_seed(seed: int, epoch: int, index: int) -> int:
    """One 64-bit seed from three numbers; neighbours give unrelated streams (numpy's SeedSequence)."""
    return int(np.random.SeedSequence([seed, epoch, index]).generate_state(1, np.uint64)[0])


def scaled_size(size: tuple[int, int], scale: float) -> tuple[int, int]:
    """(H, W) after scaling: rounded, at least one pixel."""
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def resize_image(image: np.ndarray, scale: float) -> np.ndarray:
    """Scale uint8 (H, W, 3): area average down, bilinear up."""
    if scale == 1:
        return image
    height, width = scaled_size(image.shape[:2], scale)
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)


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
