"""Images and labels at the size that training sees, decoded once and shared by all data workers."""

import logging
import math
import os
import shutil
from collections.abc import Iterable
from dataclasses import replace
from hashlib import blake2b
from pathlib import Path

import numpy as np

from maskfold.competitions import Competition, Sample, Samples
from maskfold.datasets.dataset import resize_image, resize_label
from maskfold.datasets.slots import ALIGNED, HEAD, KEY, Slots
from maskfold.labels import Label
from maskfold.resizing import scaled_size

logger = logging.getLogger(__name__)
VERSION = 2  # of how pixels are stored; raise it with every change of what reading or scaling gives


class ImageCache:
    """Scaled images, and labels as packed bits, of a competition's training images; a copy shares what it holds.

    What is stored is told by a digest of how its files stand in the file system (size, time of the last change,
    number; in an archive size and checksum) and of its run lengths. So a file that changed is read again.
    Images beyond ``limit`` are read anew each time, like those of other sizes than their headers said.
    """

    def __init__(
        self,
        competition: Competition,
        samples: Samples,
        *,
        scale: float,
        limit: float | None,
        folder: Path | None = None,
    ) -> None:
        """See the class.

        Args:
            competition: reads the images and masks.
            samples: the images that may be asked for.
            scale: factor by which they are resized, beside `Competition.resampling`.
            limit: bytes that may be used; files of the same samples that hold more keep it. None, with a folder: half
                of what is free on its disk, where what these files take counts as free.
            folder: of files that stay for the next run; None: in memory, while the cache is used.

        Raises:
            ConfigError: the disk has no room.
        """
        self.competition, self.scale = competition, scale
        sizes = {sample.id: scaled_size(competition.size(sample.image), self._factor(sample)) for sample in samples}
        room = np.array([decoded_bytes(competition, size) for size in sizes.values()], np.int64)
        room = room.reshape(-1, 2)
        self._shapes = list(sizes.values())
        files = () if folder is None else self._files(folder, samples)
        if limit is None:
            assert folder is not None
            limit = _half_free(folder, files)
        ends = (room + ALIGNED).sum(1).cumsum() + 2 * HEAD * len(sizes)
        kept = int(np.searchsorted(ends, limit, side="right"))
        self._images, self._labels = (
            Slots(column.tolist(), file, count=kept) for column, file in zip(room.T, files or (None, None), strict=True)
        )
        kept = min(self._images.count, self._labels.count)
        self._places = {name: place for place, name in enumerate(list(sizes)[:kept])}
        if kept < len(sizes):
            taken = ends[kept - 1] if kept else 0
            logger.info(
                f"data.cache holds {kept} of {len(sizes)} images in {taken / 2**30:.1f} GiB (data.cache_gib); the "
                "others are read each time"
            )

    def image(self, sample: Sample) -> np.ndarray:
        """The scaled image (h, w, C), not to be written to."""
        place = self._places.get(sample.id)
        return self._read_image(sample) if place is None else self._image(sample, place, self._stands(sample))

    def pair(self, sample: Sample) -> tuple[np.ndarray, Label]:
        """The scaled image, and the scaled label, a mask without instances."""
        place = self._places.get(sample.id)
        if place is None:
            return self._read_image(sample), self._read_label(sample)
        stands = self._stands(sample)
        return self._image(sample, place, stands), self._label(sample, place, stands)

    def _stands(self, sample: Sample) -> bytes:
        return _digest(self.competition.stands(sample.image))

    def _image(self, sample: Sample, place: int, stands: bytes) -> np.ndarray:
        spec, (height, width) = self.competition.images, self._shapes[place]
        found = self._images.read(place, stands)
        if found is not None:
            return found.view(spec.dtype).reshape(height, width, spec.channels)
        image = self._read_image(sample)
        if image.shape[:2] == (height, width):
            self._images.write(place, stands, [np.ascontiguousarray(image).view(np.uint8)])
        return image

    def _label(self, sample: Sample, place: int, stands: bytes) -> Label:
        labels = self.competition.labels
        shape, bits = labels.mask_shape(self._shapes[place]), labels.highest == 1
        key = _digest(stands, self.competition.masks_stand(sample.masks))
        found = self._labels.read(place, key)
        if found is not None:
            return _unpacked(found, shape, bits=bits)
        label = self._read_label(sample)
        if label.values.shape == shape:
            self._labels.write(place, key, _packed(label, bits=bits))
        return label

    def _read_image(self, sample: Sample) -> np.ndarray:
        return resize_image(self.competition.image(sample.image), self._factor(sample))

    def _read_label(self, sample: Sample) -> Label:
        label = self.competition.label(sample.masks, self.competition.size(sample.image), id=sample.id)
        return resize_label(replace(label, instances=None), self._factor(sample), self.competition.labels)

    def _factor(self, sample: Sample) -> float:
        return self.scale * self.competition.resampling(sample)

    def _files(self, folder: Path, samples: Samples) -> tuple[Path, Path]:
        """Of images and labels, named after what the slots depend on but not the content of images and masks.

        How many slots a file holds is not in its name: all folds and later runs use the same one.
        """
        competition = self.competition
        facts = VERSION, str(competition.root.resolve()), self.scale, competition.profile, competition.labels
        name = _digest(facts, [(sample.id, sample.image) for sample in samples], self._shapes).hex()
        return folder / f"{name}.images", folder / f"{name}.labels"


def decoded_bytes(competition: Competition, size: tuple[int, int]) -> tuple[int, int]:
    """Bytes that an image of ``size`` (H, W) takes in a cache, and its label."""
    spec, labels = competition.images, competition.labels
    values, pixels = math.prod(labels.mask_shape(size)), math.prod(size)
    label = 1 + (-(-values // 8) if labels.highest == 1 else values) + -(-pixels // 8)
    return pixels * spec.channels * np.dtype(spec.dtype).itemsize, label


def _half_free(folder: Path, files: Iterable[Path]) -> float:
    """Half of the bytes that would be free on the disk without ``files``: as much for the next run as for the first."""
    folder.mkdir(parents=True, exist_ok=True)
    return (shutil.disk_usage(folder).free + sum(_taken(file.stat()) for file in files if file.exists())) / 2


def _taken(file: os.stat_result) -> int:
    """Bytes of the disk that a file takes: not all of its length where room is given as it is written."""
    return min(file.st_size, file.st_blocks * 512) if hasattr(file, "st_blocks") else file.st_size


def _digest(*facts: object) -> bytes:
    return blake2b(repr(facts).encode(), digest_size=KEY).digest()


def _packed(label: Label, *, bits: bool) -> list[np.ndarray]:
    values = np.packbits(label.values) if bits else np.ascontiguousarray(label.values)
    if label.valid.all():
        return [np.ones(1, np.uint8), values]
    return [np.zeros(1, np.uint8), values, np.packbits(label.valid)]


def _unpacked(stored: np.ndarray, shape: tuple[int, ...], *, bits: bool) -> Label:
    size, pixels = math.prod(shape), math.prod(shape[-2:])
    held = -(-size // 8) if bits else size
    packed = stored[1 : 1 + held]
    values = np.unpackbits(packed, count=size) if bits else packed.copy()
    if stored[0]:
        return Label.whole(values.reshape(shape))
    valid = np.unpackbits(stored[1 + held :], count=pixels).view(bool)
    return Label(values.reshape(shape), valid.reshape(shape[-2:]))
