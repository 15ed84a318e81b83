"""A competition's samples as tensors: augmented crops for training, whole images for evaluation."""

from collections.abc import Callable, Mapping
from typing import Any

import cv2
import numpy as np
import pandas as pd
import torch
from torch.utils.data import Dataset

from maskfold.competitions import Competition
from maskfold.datasets.augment import Augmentation
from maskfold.labels import Label, LabelSpec
from maskfold.losses.boundary import signed_distance


class SegmentationDataset(Dataset[dict[str, Any]]):
    """Samples of a competition; the key decides what an item is.

    ``dataset[index]`` is for evaluation: the whole image, never augmented. ``dataset[epoch, index]`` is for
    training: the image augmented by a pure function of (seed, epoch, index), whatever process asks, in whatever
    order. For training, index + n, index + 2n … are further draws of the image ``index``, augmented differently.

    An item is a dict of

    - ``image``: uint8 (3, h, w), RGB, scaled by ``scale``, and cropped by the augmentation;
    - ``id`` (str), ``index`` (row of ``samples``), ``size`` ((H, W) of the file);
    - training: ``targets``, in the image's geometry: ``mask`` as `LabelSpec.target` has it, and what ``needs``
      names, e.g. ``distance``: float32 (C, h, w); ``valid``: bool (1, h, w), the pixels that count;
    - evaluation: ``label``, a `Label` at native size, where the sample has masks.
    """

    def __init__(
        self,
        competition: Competition,
        samples: pd.DataFrame,
        *,
        scale: float = 1.0,
        augment: Augmentation | None = None,
        seed: int = 0,
        needs: frozenset[str] | set[str] = frozenset(),
    ) -> None:
        """
        Args:
            competition: reads the images and masks.
            samples: rows of ``competition.samples()``: columns id, image, masks.
            scale: factor by which images are resized.
            augment: applied for training, after scaling; None leaves images whole.
            seed: of the augmentation.
            needs: further targets that the loss asks for, keys of `EXTRAS`.
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
            item["label"] = self._label(key, image.shape[:2])
        return item

    def _training_item(self, epoch: int, draw: int) -> dict[str, Any]:
        index = draw % len(self)
        native = self.competition.image(self.images[index])
        image = resize_image(native, self.scale)
        labels = self.competition.labels
        label = resize_label(self._label(index, native.shape[:2]), self.scale, labels)
        if self.augment is not None:
            image, label = self.augment(image, label, item_seed(self.seed, epoch, draw))
        item = self._item(index, native, image)
        item["targets"] = {"mask": labels.target(torch.from_numpy(np.ascontiguousarray(label.values)))}
        for name in sorted(self.needs):
            item["targets"][name] = torch.from_numpy(EXTRAS[name](label, labels))
        item["valid"] = torch.from_numpy(np.ascontiguousarray(label.valid))[None]
        return item

    def _item(self, index: int, native: np.ndarray, image: np.ndarray) -> dict[str, Any]:
        return {
            "image": torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1))),
            "id": self.ids[index],
            "index": index,
            "size": native.shape[:2],
        }

    def _label(self, index: int, shape: tuple[int, int]) -> Label:
        return self.competition.label(self.masks[index], shape, id=self.ids[index])


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


def resize_label(label: Label, scale: float, labels: LabelSpec) -> Label:
    """Scale a mask and what counts of it; the pixel centres are those of `resize_image`.

    Exclusive classes: nearest neighbour. Others: each class is resized like the image and cut at one half, which keeps
    the area of thin shapes that nearest neighbour would break up. What counts goes by nearest neighbour.
    """
    if scale == 1:
        return label
    height, width = scaled_size(label.valid.shape, scale)

    def nearest(pixels: np.ndarray) -> np.ndarray:
        return cv2.resize(pixels, (width, height), interpolation=cv2.INTER_NEAREST_EXACT)

    valid = nearest(label.valid.view(np.uint8)).view(bool)
    if labels.exclusive:
        return Label(nearest(label.values), valid)
    shares = [resize_image(np.where(layer, np.uint8(200), np.uint8(0)), scale) for layer in labels.layers(label.values)]
    return Label(labels.mask(np.stack([(share >= 100) & valid for share in shares])), valid)


def signed_distances(label: Label, labels: LabelSpec) -> np.ndarray:
    """float32 (C, H, W): signed distance to the boundary of each class, of what counts of it."""
    return np.stack([signed_distance(layer & label.valid) for layer in labels.layers(label.values)])


# What losses ask for beside the mask, made here because the data workers have the time.
EXTRAS: Mapping[str, Callable[[Label, LabelSpec], np.ndarray]] = {"distance": signed_distances}
