"""From runs and images without masks to a folder of pseudo-labels.

The labels that fold k of another run will train on come from the networks of fold k alone. These saw none of the images
that validate fold k, so a score on those images stays what it is without pseudo-labels: out of fold. A mean over all
folds, usual for test images, would teach every fold what the other folds' networks know of its validation images.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from maskfold.competitions import Competition, Samples
from maskfold.datasets import validates_alike
from maskfold.ensembling.choice import EnsembleChoice
from maskfold.ensembling.finished import finished_folds, weight_hashes
from maskfold.ensembling.submit import predict_samples
from maskfold.errors import InferenceError
from maskfold.inference.predict import Prediction
from maskfold.labels import LabelSpec
from maskfold.metrics.temperature import tempered
from maskfold.progress import progress
from maskfold.runs import Run
from maskfold.runs.fold import ALL
from maskfold.runs.pseudo import PseudoFolder, PseudoManifest, image_row
from maskfold.runs.pseudo_rules import Rules


@dataclass(frozen=True)
class Unlabelled:
    """Images without masks: what reads them, which they are, and their folder (None: the competition's own)."""

    competition: Competition
    samples: Samples
    folder: str | None = None


def common_folds(runs: Sequence[Run], competition: Competition) -> list[int]:
    """The folds that all runs have finished.

    Raises:
        InferenceError: there is none, or one of them validates on other images in another run.
    """
    folds = sorted(set.intersection(*(set(finished_folds(run)) for run in runs)))
    first = runs[0]
    if not folds:
        raise InferenceError(f"{', '.join(str(run.path) for run in runs)} have no finished fold in common: train one")
    for run in runs[1:]:
        for fold in folds:
            if not validates_alike(first.folds(competition), run.folds(competition), fold):
                raise InferenceError(
                    f"fold {fold} of {run.path} validates on other images than that of {first.path}: label with runs "
                    "that have the same folds section"
                )
    return folds


def write_pseudo_labels(
    choice: EnsembleChoice,
    runs: Sequence[Run],
    images: Unlabelled,
    folder: PseudoFolder,
    rules: Rules,
    *,
    all_folds: bool,
    temperatures: Mapping[str, float],
    batch_size: int,
) -> PseudoManifest:
    """Predict ``images`` and write the folder; returns what it holds.

    Args:
        choice: how ``runs`` predict.
        all_folds: one map for every fold, by the networks of all folds.
        temperatures: fold -> what divides the logits of its probabilities.

    Raises:
        InferenceError: no image is kept in any fold, or the runs' folds do not fit together.
    """
    competition = images.competition
    own = common_folds(runs, competition) if not all_folds else []
    used: dict[str, Sequence[int | str] | None] = {str(fold): [fold] for fold in own} if own else {ALL: None}
    folder.clear()
    rows = []
    for name, folds in used.items():
        predictions = predict_samples(choice, competition, images.samples, folds, batch_size=batch_size, runs=runs)
        if name in temperatures:
            predictions = _tempered(predictions, temperatures[name], competition.labels)
        rows += _write_maps(predictions, name, images, folder, rules)
    if not any(row["kept"] for row in rows):
        folder.clear()
        raise _unsure(rows, len(images.samples))
    manifest = PseudoManifest(
        task=competition.labels.task,
        class_names=competition.labels.class_names,
        images=images.folder,
        folds=tuple(used),
        rules=rules,
        round=1 + max((_round(run) for run in runs), default=0),
        optimistic=all_folds or any(run.fold(fold).optimistic() for run in runs for fold in own),
        temperatures=dict(temperatures),
        weights={name: _digests(choice, runs, folds) for name, folds in used.items()},
    )
    folder.finish(manifest, rows, runs[0].storage.read("folds.csv"))
    return manifest


def _tempered(predictions: Iterable[Prediction], temperature: float, labels: LabelSpec) -> Iterator[Prediction]:
    for prediction in predictions:
        yield replace(prediction, probability=tempered(prediction.probability, temperature, labels))


def _write_maps(
    predictions: Iterable[Prediction], fold: str, images: Unlabelled, folder: PseudoFolder, rules: Rules
) -> list[dict[str, Any]]:
    """Store the maps of the images that are kept; the rows of all, sorted by id."""
    rows = []
    with folder.maps(fold).replace({}) as new:
        for prediction in progress(predictions, f"pseudo-labels, fold {fold}", total=len(images.samples)):
            sample, labels = images.samples.by_id[prediction.id], images.competition.labels
            rows.append(image_row(fold, sample, prediction.probability, rules, labels))
            if rows[-1]["kept"]:
                new.write(prediction.id, prediction.probability)
    return sorted(rows, key=lambda row: row["id"])


def _unsure(rows: list[dict[str, Any]], count: int) -> InferenceError:
    share, mean = (max(row[name] for row in rows) for name in ("share", "mean"))
    return InferenceError(
        f"none of {count} images is sure enough (at best {share:.0%} of the pixels, mean confidence {mean:.3f}): lower "
        "--confidence, --confident-share or --mean-confidence"
    )


def _round(run: Run) -> int:
    """The round of the pseudo-labels that a run was trained on, as far as they are still there; 0: none."""
    folders = map(PseudoFolder, run.config.data.extra)
    return max((folder.manifest().round for folder in folders if folder.exists()), default=0)


def _digests(choice: EnsembleChoice, runs: Sequence[Run], folds: Sequence[int | str] | None) -> list[str]:
    return [
        str(digest)
        for run, checkpoint in zip(runs, choice.checkpoints, strict=True)
        for digest in weight_hashes(run, checkpoint, folds).values()
    ]
