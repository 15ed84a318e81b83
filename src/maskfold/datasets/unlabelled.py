"""Images without labels beside those with labels: the same crop in two looks, and batches that hold both kinds."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch.utils.data import Dataset

from maskfold.competitions import Competition, Samples
from maskfold.datasets.dataset import Draw, TrainDataset, image_tensor, resize_image
from maskfold.datasets.sampler import EpochSampler
from maskfold.labels import Label

if TYPE_CHECKING:
    from maskfold.datasets.augment import Augmentation, StrongColours


class UnlabelledDataset(Dataset[dict[str, Any]]):
    """Samples of which only the image is looked at; the key is a `Draw`.

    An item is a pure function of (seed, epoch, index, repeat): a dict of

    - ``weak`` (C, h, w): the image, scaled, moved and cropped; ``strong``: the same pixels in other colours;
    - ``valid``, bool (1, h, w), where there is something of the image; ``id``.
    """

    def __init__(
        self,
        competition: Competition,
        samples: Samples,
        *,
        weak: "Augmentation",
        strong: "StrongColours",
        scales: Sequence[float],
        seed: int = 0,
    ) -> None:
        """See the class.

        Args:
            competition: reads the images.
            samples: with or without masks.
            weak: moves and crops the scaled image.
            strong: changes the colours of the result.
            scales: of each image the factor by which it is resized.
            seed: of both.
        """
        self.competition, self.samples, self.scales, self.seed = competition, samples, scales, seed
        self.weak, self.strong = weak, strong

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, key: Draw) -> dict[str, Any]:
        epoch, index, repeat = key
        sample = self.samples[index]
        # The last number tells them from the seeds of images with labels.
        seeds = np.random.SeedSequence([self.seed, epoch, index, repeat, 1]).generate_state(2, np.uint64)
        image = resize_image(self.competition.image(sample.image), self.scales[index])
        weak, label = self.weak(image, Label.whole(np.zeros(image.shape[:2], np.uint8)), int(seeds[0]))
        return {
            "weak": image_tensor(weak),
            "strong": image_tensor(self.strong(weak, int(seeds[1]))),
            "valid": torch.from_numpy(np.ascontiguousarray(label.valid))[None],
            "id": sample.id,
        }


class Unlabelled(NamedTuple):
    """The draw of an image without labels, as a key of `MixedDataset`."""

    draw: Draw


class MixedDataset(Dataset[dict[str, Any]]):
    """Items of ``labelled`` for a `Draw`, of ``unlabelled`` for an `Unlabelled`; its length is that of ``labelled``."""

    def __init__(self, labelled: TrainDataset, unlabelled: UnlabelledDataset) -> None:
        self.labelled, self.unlabelled = labelled, unlabelled

    def __len__(self) -> int:
        return len(self.labelled)

    def __getitem__(self, key: Draw | Unlabelled) -> dict[str, Any]:
        return self.unlabelled[key.draw] if isinstance(key, Unlabelled) else self.labelled[key]


class MixedSampler:
    """The batches of ``labelled``, and behind each of them images without labels.

    These follow each other in an endless row of reshuffled rounds, a function of (seed, epoch) like the others. So the
    labelled part of every batch is what it would be without them.
    """

    def __init__(self, labelled: EpochSampler, n: int, per_batch: int) -> None:
        """See the class.

        Args:
            labelled: of this process.
            n: number of images without labels.
            per_batch: how many of them are in a batch of each process.
        """
        self.labelled = labelled
        self.unlabelled = EpochSampler(
            n,
            batch_size=per_batch,
            seed=labelled.seed,
            epoch_images=len(labelled) * per_batch * labelled.world,
            rank=labelled.rank,
            world=labelled.world,
        )

    @property
    def epoch(self) -> int:
        """Of both, see `EpochSampler`."""
        return self.labelled.epoch

    @epoch.setter
    def epoch(self, epoch: int) -> None:
        self.labelled.epoch = self.unlabelled.epoch = epoch

    @property
    def first(self) -> int:
        """Of both, see `EpochSampler`."""
        return self.labelled.first

    @first.setter
    def first(self, first: int) -> None:
        self.labelled.first = self.unlabelled.first = first

    def __len__(self) -> int:
        return len(self.labelled)

    def __iter__(self) -> Iterator[list[Draw | Unlabelled]]:
        for with_labels, without in zip(self.labelled, self.unlabelled, strict=True):
            yield [*with_labels, *map(Unlabelled, without)]
