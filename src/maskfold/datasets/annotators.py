"""Several people's masks of the training images: who drew what, and the targets that they make together."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from maskfold.competitions import Competition, Sample
from maskfold.config import AnnotatorsConfig
from maskfold.datasets.staple import staple
from maskfold.errors import CompetitionError, first_few
from maskfold.labels import Label, LabelSpec

if TYPE_CHECKING:
    from maskfold.datasets.dataset import Draw

# Of the stream of random numbers that chooses annotators; the augmentation of the same image has another.
STREAM = 1


@dataclass(frozen=True)
class Annotations:
    """Masks of training images by several annotators, not decoded yet.

    Attributes:
        competition: reads them, in its own way of writing.
        masks: annotator -> id -> what `Competition.label` takes.
    """

    competition: Competition
    masks: Mapping[str, Mapping[str, Any]]

    def who(self, sample: Sample) -> list[str]:
        """The annotators who have drawn an image."""
        return [name for name, masks in self.masks.items() if sample.id in masks]

    def label(self, name: str, sample: Sample, size: tuple[int, int]) -> Label:
        """What an annotator has drawn of an image of ``size`` (H, W).

        Raises:
            CompetitionError: as `Competition.label`; annotator and image are named.
        """
        return self.competition.label(self.masks[name][sample.id], size, id=f"{sample.id} by {name}")

    def gaps(self) -> list[str]:
        """A sentence for each kind of masks that are not there, or not of training images."""
        ids = self.competition.samples("train").ids
        notes = []
        for name, masks in self.masks.items():
            if lacking := [id_ for id_ in ids if id_ not in masks]:
                notes.append(
                    f"{name} has no mask of {len(lacking)} of {len(ids)} training images, which use the other "
                    f"annotators': {first_few(lacking)}"
                )
            if strange := sorted(set(masks) - set(ids)):
                notes.append(f"{name} marks {len(strange)} images that are not training images: {first_few(strange)}")
        if nobodys := [id_ for id_ in ids if not any(id_ in masks for masks in self.masks.values())]:
            notes.append(
                f"no annotator has a mask of {len(nobodys)} of {len(ids)} training images, which keep the "
                f"competition's own: {first_few(nobodys)}"
            )
        return notes


def read_annotations(competition: Competition, config: AnnotatorsConfig) -> Annotations:
    """Read the tables, lists or folders of masks that the config names; masks are decoded later.

    Raises:
        CompetitionError: files that are not there or not in the competition's form, an annotator without a mask of any
            training image.
    """
    masks: dict[str, Mapping[str, Any]] = {}
    try:
        for name in config.masks:
            masks |= competition.annotations(name, config.column)
    except CompetitionError as error:
        raise CompetitionError(f"targets.annotators: {error}") from None
    ids = set(competition.samples("train").ids)
    strangers = [name for name, own in masks.items() if ids.isdisjoint(own)]
    if strangers:
        expected = first_few(sorted(ids))
        raise CompetitionError(
            f"targets.annotators: {first_few(strangers)} has no mask of any training image: it names "
            f"{first_few(masks[strangers[0]])}, expected names such as {expected}"
        )
    return Annotations(competition, masks)


class AnnotatorTargets:
    """A `TargetSource`: what the annotators of an image make of it together, in the place of the competition's mask.

    An image that nobody has drawn keeps its label. A pixel counts where it does for the competition and for one of the
    annotators.

    Args:
        annotations: what they have drawn.
        merge: ``mean``: the share of the annotators that are for each class, of those for whom a pixel counts;
            ``staple``: its probability, see `maskfold.datasets.staple`; ``random``: the mask of one annotator, a
            function of (seed, epoch, index).
        seed: of that choice.
    """

    def __init__(self, annotations: Annotations, merge: Literal["mean", "random", "staple"], *, seed: int) -> None:
        self.annotations = annotations
        self.merge = merge
        self.seed = seed

    def __call__(self, sample: Sample, label: Label, draw: "Draw") -> Label:
        """See `TargetSource`."""
        names, size = self.annotations.who(sample), label.valid.shape
        if not names:
            return label
        if self.merge == "random":
            chosen = np.random.default_rng([self.seed, draw.epoch, draw.index, STREAM]).integers(len(names))
            merged = self.annotations.label(names[chosen], sample, size)
        else:
            drawn = [self.annotations.label(name, sample, size) for name in names]
            merged = MERGES[self.merge](self.annotations.competition.labels, drawn)
        valid = label.valid & merged.valid
        return Label(np.where(valid, merged.values, 0).astype(merged.values.dtype), valid)


def mean_label(labels: LabelSpec, drawn: Sequence[Label]) -> Label:
    """The share of each class, float32 (C, H, W), among the annotators for whom a pixel counts."""
    counted = np.sum([label.valid for label in drawn], axis=0)
    total = np.sum([np.where(label.valid, labels.shares(label), 0) for label in drawn], axis=0)
    return Label((total / np.maximum(counted, 1)).astype(np.float32), np.greater(counted, 0))


def staple_label(labels: LabelSpec, drawn: Sequence[Label]) -> Label:
    """The probability of each class, float32 (C, H, W), as `staple` estimates it; of overlapping classes each alone."""
    valid = np.stack([label.valid for label in drawn])
    if labels.exclusive:
        decisions = np.stack([label.values for label in drawn]).astype(np.int64)
        posterior = staple(np.where(valid, decisions, -1), labels.channels).posterior
    else:
        layers = np.stack([labels.layers(label.values) for label in drawn]).astype(np.int64)  # (R, C, H, W)
        layers = np.where(valid[:, None], layers, -1)
        posterior = np.stack([staple(layers[:, c], 2).posterior[1] for c in range(labels.channels)])
    return Label(posterior, np.logical_or.reduce(valid))


MERGES: dict[str, Callable[[LabelSpec, Sequence[Label]], Label]] = {"mean": mean_label, "staple": staple_label}
