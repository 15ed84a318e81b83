"""A competition that lives in memory: what the datasets package needs of a competition, and nothing else."""

import numpy as np
import pytest

from maskfold.competitions import Sample, Samples
from maskfold.images import PLAIN


class FakeCompetition:
    """Images whose content encodes their mask: see `encode`."""

    ignore_index = 255
    images = PLAIN

    def __init__(self, sizes, *, num_classes=1, seed=0, empty=(), ignored=()):
        self.num_classes = num_classes
        self.class_names = tuple(f"class {i}" for i in range(max(2, num_classes)))
        self.name = "fake"
        generator = np.random.default_rng(seed)
        self.arrays = {}
        for i, (height, width) in enumerate(sizes):
            mask = blocks(generator, height, width, max(2, num_classes))
            if i in empty:
                mask[:] = 0
            if i in ignored:
                mask[: height // 3, : width // 4] = 255
            self.arrays[f"{i:03d}.png"] = (encode(mask), mask)

    def samples(self, split="train"):
        return Samples(Sample(name[:3], name, (name,) if split == "train" else None) for name in sorted(self.arrays))

    def image(self, path):
        return self.arrays[path][0].copy()

    def size(self, path):
        return self.arrays[path][0].shape[:2]

    def mask_size(self, sample):
        return self.size(sample.image)

    def mask(self, masks, shape, *, id=""):
        mask = self.arrays[masks[0]][1]
        assert mask.shape == tuple(shape)
        return mask.copy()

    def coverage(self, masks, shape, *, id=""):
        mask = self.arrays[masks[0]][1]
        return float(((mask > 0) & (mask != 255)).mean())


def blocks(generator, height, width, classes):
    """A mask of rectangles: uint8 (height, width) with classes 0 … classes - 1."""
    mask = np.zeros((height, width), np.uint8)
    for _ in range(6):
        top, left = generator.integers(0, height - 4), generator.integers(0, width - 4)
        mask[top : top + generator.integers(4, 20), left : left + generator.integers(4, 20)] = generator.integers(
            1, classes
        )
    return mask


def encode(mask):
    """uint8 RGB image: red tells the label (``decode`` reads it back), blue and green tell the place."""
    rows, columns = np.indices(mask.shape)
    red = np.where(mask == 255, 250, 30 + 17 * mask.astype(int))
    return np.stack([red, rows % 256, columns % 256], axis=-1).astype(np.uint8)


def decode(image):
    """The mask that `encode` wrote into an image's red channel."""
    red = image[..., 0].astype(int)
    return np.where(red == 250, 255, (red - 30) // 17).astype(np.uint8)


@pytest.fixture
def codec():
    return encode, decode


@pytest.fixture
def fake():
    return FakeCompetition
