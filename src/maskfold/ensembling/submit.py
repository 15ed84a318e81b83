"""From an ensemble and the test images to a validated submission."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from maskfold.competitions import Competition, SubmissionWriter
from maskfold.config import InferenceConfig
from maskfold.datasets import image_loader
from maskfold.device import choose_device, choose_precision
from maskfold.ensembling.checkpoints import load_networks, oof_options
from maskfold.ensembling.choice import CheckpointChoice, EnsembleChoice
from maskfold.ensembling.finished import folds_of
from maskfold.errors import InferenceError
from maskfold.inference.decoding import postprocess
from maskfold.inference.predict import Prediction, predict_batches
from maskfold.progress import progress
from maskfold.runs import MapStore, Run


def default_choice(run: Run) -> EnsembleChoice:
    """What predicts where nothing was tuned: the config's own checkpoint, views, threshold and minimum area."""
    inference, post = run.config.inference, run.config.post
    return EnsembleChoice(
        checkpoints=[CheckpointChoice(run=str(run.path), checkpoint=inference.checkpoint, weight=1.0)],
        **oof_options(inference),
        **post.model_dump(),
    )


def check_hashes(choice: EnsembleChoice) -> list[str]:
    """Refuse a choice whose weights changed since it was made; returns files of folds trained since then.

    Raises:
        InferenceError: weights are gone, or others than those it was tuned on.
    """
    now = {}
    for checkpoint in choice.checkpoints:
        run = Run.open(Path(checkpoint.run))
        for fold in map(run.fold, run.finished_folds()):
            now |= {
                str(fold.checkpoint_path(part)): fold.digest(part) for part in fold.weights_of(checkpoint.checkpoint)
            }
    changed = [path for path, digest in choice.hashes.items() if now.get(path) != digest]
    if changed:
        raise InferenceError(
            f"{changed[0]} is not what the ensemble was tuned on: run python src/tune.py again, or predict "
            "with --untuned"
        )
    return sorted(set(now) - set(choice.hashes))


def predict_samples(
    choice: EnsembleChoice,
    competition: Competition,
    samples: pd.DataFrame,
    folds: Sequence[int | str] | None = None,
    *,
    batch_size: int,
) -> Iterator[Prediction]:
    """Stream the ensemble's probabilities at native size, each run reading the images once.

    Within a run, all folds' networks and views are merged as ``choice.merge`` says, folds with equal weight;
    runs are then averaged by their weights, as tuning did.

    Args:
        folds: of each run; null: its finished folds, else ``all`` where only that is trained.
        batch_size: images per batch.
    """
    used = [checkpoint for checkpoint in choice.checkpoints if checkpoint.weight > 0]
    streams = [_run_stream(choice, checkpoint, competition, samples, folds, batch_size) for checkpoint in used]
    total = sum(checkpoint.weight for checkpoint in used)
    for together in zip(*streams, strict=True):
        mean = sum(p.probability * np.float32(m.weight / total) for p, m in zip(together, used, strict=True))
        yield replace(together[0], probability=mean)


def test_samples(competition: Competition) -> pd.DataFrame:
    """The images to predict.

    Raises:
        InferenceError: there are none.
    """
    samples = competition.samples("test")
    if samples.empty:
        raise InferenceError(f"{competition.root} has no test images: docs/competitions.md says where they belong")
    return samples


def write_submission(
    predictions: Iterator[Prediction],
    choice: EnsembleChoice,
    competition: Competition,
    path: Path,
    ids: Sequence[str],
    probabilities: Path | None = None,
) -> dict[str, int]:
    """Post-process a stream and write the validated submission; returns counts of images and empty masks.

    Args:
        probabilities: folder to store the 8-bit maps in as well.
    """
    empty = 0
    with ExitStack() as stack:
        store = None
        if probabilities is not None:
            made_with = choice.model_dump(mode="json")
            store = stack.enter_context(MapStore.create(probabilities, competition.num_classes, made_with))
        # Entered last, so left first: maps are kept only beside a submission that is valid.
        writer = stack.enter_context(SubmissionWriter(competition, path, ids))
        for prediction in progress(predictions, "predict", total=len(ids)):
            mask = postprocess(
                prediction.probability,
                threshold=choice.threshold,
                min_area=choice.min_area,
                fill_holes=choice.fill_holes,
            )
            writer.write(prediction.id, mask)
            if store is not None:
                store.write(prediction.id, prediction.probability)
            empty += not mask.any()
    return {"images": len(ids), "empty": empty}


def _run_stream(
    choice: EnsembleChoice,
    checkpoint: CheckpointChoice,
    competition: Competition,
    samples: pd.DataFrame,
    folds: Sequence[int | str] | None,
    batch_size: int,
) -> Iterator[Prediction]:
    run = Run.open(Path(checkpoint.run))
    networks, weights = [], []
    for fold in folds or folds_of(run):
        run.fold(fold).summary()  # refuses a fold that is not trained to its end
        parts = load_networks(run, run.fold(fold), checkpoint.checkpoint, competition)
        networks += parts
        weights += [1 / len(parts)] * len(parts)
    options = InferenceConfig(
        **choice.model_dump(include={"views", "scales", "merge", "window", "overlap"}),
        batch_size=batch_size,
    )
    device = choose_device()
    return predict_batches(
        networks,
        image_loader(competition, samples, run.config.model_copy(update={"inference": options})),
        options=options,
        weights=weights,
        device=device,
        precision=choose_precision(run.config.train.precision, device),
    )
