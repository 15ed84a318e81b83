"""Pseudo-labels as further training images of a fold: ``data.extra``."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from maskfold.competitions import Competition, Sample, Samples
from maskfold.competitions.samples import paths_of
from maskfold.errors import TrainingError, first_few
from maskfold.labels import Label
from maskfold.resizing import fit_label
from maskfold.runs import MapStore, Run
from maskfold.runs.fold import ALL
from maskfold.runs.maps import dequantise
from maskfold.runs.pseudo import FOLDS, PseudoFolder, PseudoManifest
from maskfold.runs.pseudo_rules import Rules
from maskfold.training.leaks import refuse_trained


class PseudoImages:
    """The images of a folder that are sure enough, see `maskfold.datasets.ExtraImages`.

    Args:
        competition: reads the images.
        samples: those that are kept in all of ``maps``.
        positive: bool (n,), whether there is any foreground.
        maps: of the networks of one fold or, of a fold that validates nothing, of every fold: then the mean.
        rules: which pixels count.
    """

    def __init__(
        self, competition: Competition, samples: Samples, positive: np.ndarray, maps: Sequence[MapStore], rules: Rules
    ) -> None:
        self.competition, self.samples, self.positive = competition, samples, positive
        self.maps, self.rules = tuple(maps), rules

    def image(self, sample: Sample) -> np.ndarray:
        """One of the images, as `Competition.image` gives it."""
        return self.competition.image(sample.image)

    def label(self, sample: Sample, size: tuple[int, int]) -> Label:
        """Its soft label at ``size`` (H, W)."""
        labels = self.competition.labels
        seen = [dequantise(maps.read(sample.id), labels) for maps in self.maps]
        return fit_label(self.rules.label(np.mean(seen, axis=0), labels), size, labels)


def extra_images(run: Run, fold: int | str) -> list[PseudoImages]:
    """What the folders of ``data.extra`` add to a fold's training images.

    A fold gets the labels of the networks of that fold, which saw none of its validation images. Fold ``all``, which
    validates nothing, gets the mean over the folds of what all of them keep. Folders of the networks of all folds give
    every fold the same; `maskfold.training.leaks.optimistic` tells.

    Raises:
        TrainingError: a folder of other classes, or of networks that saw validation images, without maps of this fold,
            or whose images are gone.
        RunError: there is no such folder, or it is not whole.
    """
    return [_of_folder(PseudoFolder(path), run, fold) for path in run.config.data.extra]


def _of_folder(folder: PseudoFolder, run: Run, fold: int | str) -> PseudoImages:
    competition, manifest = run.competition(), folder.manifest()
    if manifest.labels != competition.labels:
        raise TrainingError(
            f"{folder.path} has labels of {manifest.task} {', '.join(manifest.class_names)}, the competition is "
            f"{competition.labels.task} {', '.join(competition.labels.class_names)}: leave it out of data.extra"
        )
    names = _sources(folder, manifest, run, fold)
    table = folder.table()
    kept = table[table["kept"]]
    common = set.intersection(*(set(kept["id"][kept["fold"] == name]) for name in names))
    rows = kept[(kept["fold"] == names[0]) & kept["id"].isin(common)]
    reader = competition if manifest.images is None else competition.reading_from(Path(manifest.images))
    samples = folder.samples(rows)
    gone = [path for sample in samples for path in paths_of(sample.image) if not reader.files.exists(path)]
    if gone:
        raise TrainingError(
            f"{len(gone)} images of {folder.path} are not in {reader.root}: {first_few(gone)}; put them there, or make "
            "the folder again"
        )
    stores = [folder.maps(name) for name in names]
    return PseudoImages(reader, samples, rows["coverage"].to_numpy() > 0, stores, manifest.rules)


def _sources(folder: PseudoFolder, manifest: PseudoManifest, run: Run, fold: int | str) -> tuple[str, ...]:
    """The folds whose networks label for a fold; refused where these saw its validation images unasked."""
    if manifest.folds == (ALL,) or fold == ALL:
        return manifest.folds
    if str(fold) not in manifest.folds:
        raise TrainingError(
            f"{folder.path} has no labels of fold {fold}, only of {', '.join(manifest.folds)}: train that fold of the "
            "runs that made it, and make it again"
        )
    refuse_trained(folder.folds(), folder.path / FOLDS, str(fold), run, fold, use="learning from its labels")
    return (str(fold),)
