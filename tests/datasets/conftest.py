"""A competition that lives in memory: what the datasets package needs of a competition, and nothing else."""

import numpy as np
import pytest

from maskfold.competitions import Sample, Samples
from maskfold.images import PLAIN
from maskfold.labels import Label, LabelSpec


class FakeCompetition:
    """Images whose content encodes their mask: see `encode`."""

    images = PLAIN

    def __init__(self, sizes, *, classes=None, seed=0, empty=(), ignored=()):
        names = ("foreground",) if classes is None else tuple(f"class {i}" for i in range(classes))
        self.labels = LabelSpec("binary" if classes is None else "multiclass", names)
        self.name = "fake"
        generator = np.random.default_rng(seed)
        self.arrays = {}
        for i, (height, width) in enumerate(sizes):
            mask = blocks(generator, height, width, self.labels.highest + 1)
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

    def sizes(self, samples):
        return [self.size(sample.image) for sample in samples]

    def scored_size(self, sample):
        return self.size(sample.image)

    def resampling(self, sample):
        return 1.0

    def scored_label(self, sample, shape):
        return self.label(sample.masks, shape, id=sample.id)

    def label(self, masks, shape, *, id=""):
        mask = self.arrays[masks[0]][1]
        assert mask.shape == tuple(shape)
        return unmarked(mask)

    def coverage(self, masks, shape, *, id=""):
        mask = self.arrays[masks[0]][1]
        return float(((mask > 0) & (mask != 255)).mean())


def unmarked(mask):
    """The label of a mask that holds 255 where nothing counts."""
    return Label(np.where(mask == 255, 0, mask).astype(np.uint8), mask != 255)


def marked(label):
    """A label's mask (H, W), 255 where nothing counts; the values there are 0."""
    assert not label.values[~label.valid].any()
    return np.where(label.valid, label.values, 255).astype(np.uint8)


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
