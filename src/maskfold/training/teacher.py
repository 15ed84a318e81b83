"""Distillation: what networks trained before see on the training images becomes a part of the target.

A student that is validated on the images V of its fold k must learn from networks that saw none of V. These are the
teachers' networks of the same fold k, where fold k of the teacher was not trained on any of V either: they see the
training images, on which they were trained themselves, and that is what distillation means. The teachers' out-of-fold
maps would *not* do, however honest each of them is about its own image: the map of a training image comes from a fold j
that trained on V, and so the student would learn, on images beside V, from a network that knows the masks of V. Nor
would the mean of all folds. So a teacher whose fold k was trained on one of V is refused. What the teachers themselves
learned from was held to the same rule when they were trained. Of fold ``all``, which validates nothing, the teachers
are their own ``all`` or, where one of them lacks it, all that they predict with.

Sources: Hinton, Vinyals & Dean, arXiv 1503.02531 (temperature, weight); Wang, Ning & Blaschko, arXiv 2302.05666 (with
losses that are zero only where prediction and soft label agree).
"""

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from maskfold.competitions import Sample, Samples
from maskfold.config import TeacherConfig
from maskfold.ensembling.checkpoints import oof_options
from maskfold.ensembling.choice import EnsembleChoice
from maskfold.ensembling.finished import weight_hashes
from maskfold.ensembling.submit import default_choice, predict_samples
from maskfold.labels import Label, LabelSpec
from maskfold.metrics.temperature import tempered
from maskfold.progress import progress
from maskfold.resizing import fit_label
from maskfold.runs import FoldFolder, MapStore, Run
from maskfold.runs.maps import dequantise
from maskfold.training.leaks import learning_folds, refuse_unfit
from maskfold.training.processes import processes

if TYPE_CHECKING:
    from maskfold.datasets import Draw


class TeacherMaps:
    """Source of targets: ``weight`` of the stored probabilities, the rest of the label that is there.

    Pixels that do not count in the label do not count.
    """

    def __init__(self, maps: MapStore, labels: LabelSpec, weight: float) -> None:
        self.maps, self.labels, self.weight = maps, labels, weight

    def __call__(self, sample: Sample, label: Label, draw: "Draw") -> Label:
        """The label with float32 values (C, H, W)."""
        probability = dequantise(self.maps.read(sample.id), self.labels)
        taught = fit_label(Label.whole(probability), label.valid.shape, self.labels).values
        mixed = (1 - self.weight) * self.labels.shares(label) + self.weight * taught
        return Label(np.where(label.valid, mixed, 0).astype(np.float32), label.valid)


def teacher_maps(run: Run, fold: int | str, config: TeacherConfig) -> TeacherMaps:
    """The maps of a fold's training images, made by the teachers unless they are there from the same weights.

    They are stored at `Competition.scored_size`, with the temperature applied, in the fold's folder under
    ``teacher/``. The teachers predict with the checkpoints that their configs name and the first one's views.

    Raises:
        TrainingError: a teacher of another competition, or one whose fold was trained on validation images.
        MaskfoldError: a teacher that is not there, or whose fold is not trained to its end.
    """
    competition, folder = run.competition(), run.fold(fold)
    teachers = [Run.open(path) for path in config.runs]
    for teacher in teachers:
        refuse_unfit(
            teacher, run, fold, what="the teacher", key="targets.teacher.runs", use="learning from its probabilities"
        )
    choice, folds = default_choice(teachers), learning_folds(teachers, fold)
    samples = run.fold_samples(fold)[0].unmasked()
    made_with = _fingerprint(teachers, choice, folds, samples, config, competition.submission_size)
    with processes().main_process_first():
        if folder.teacher().made_with() != made_with:
            _compute(folder, run, choice, folds, samples, config, made_with)
    return TeacherMaps(folder.teacher(), competition.labels, config.weight)


def _fingerprint(
    teachers: Sequence[Run],
    choice: EnsembleChoice,
    folds: Sequence[int | str] | None,
    samples: Samples,
    config: TeacherConfig,
    size: tuple[int, int] | float | None,
) -> dict[str, Any]:
    """All that the maps depend on; where the teachers' folders are makes no difference."""
    weights = [
        list(weight_hashes(teacher, part.checkpoint, folds).values())
        for teacher, part in zip(teachers, choice.runs, strict=True)
    ]
    return {
        "weights": weights,
        "temperature": config.temperature,
        "tta": oof_options(choice.tta),
        "size": list(size) if isinstance(size, tuple) else size,
        "ids": hashlib.sha256("\0".join(samples.ids).encode()).hexdigest(),
    }


def _compute(
    folder: FoldFolder,
    run: Run,
    choice: EnsembleChoice,
    folds: Sequence[int | str] | None,
    samples: Samples,
    config: TeacherConfig,
    made_with: dict[str, Any],
) -> None:
    competition, batch_size = run.competition(), run.config.inference.batch_size
    predictions = predict_samples(choice, competition, samples, folds, batch_size=batch_size)
    with folder.teacher().replace(made_with) as new:
        for prediction in progress(predictions, f"fold {folder.name}: teachers' maps", total=len(samples)):
            taught = tempered(prediction.probability, config.temperature, competition.labels, least=0)
            new.write(prediction.id, taught)
