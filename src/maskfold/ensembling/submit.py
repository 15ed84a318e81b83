"""From an ensemble and the test images to a validated submission."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np

from maskfold.competitions import Competition, Samples, SubmissionWriter
from maskfold.config import Config
from maskfold.datasets import image_loader
from maskfold.device import choose_device, choose_precision
from maskfold.ensembling.checkpoints import run_networks, with_batch_size
from maskfold.ensembling.choice import EnsembleChoice, RunChoice
from maskfold.ensembling.engines import onnx_networks, refuse_dropout
from maskfold.ensembling.finished import folds_of
from maskfold.errors import InferenceError
from maskfold.inference.decoding import build_chain
from maskfold.inference.merge import mean_presence
from maskfold.inference.predict import Prediction, predict_batches
from maskfold.instances import plain
from maskfold.program import command_line
from maskfold.progress import progress
from maskfold.runs import MapStore, Run
from maskfold.storage import LocalStorage

Engine = Literal["torch", "onnx"]


def default_choice(runs: Sequence[Run], config: Config | None = None) -> EnsembleChoice:
    """What predicts where nothing was tuned: the config's checkpoint, TTA and decoding; several runs with equal weight.

    Args:
        runs: the runs. Each has the checkpoint of its own config, unless ``config`` changed it.
        config: the first run's, with the command line's changes; `None`: without any.
    """
    own = runs[0].config
    config = config or own
    asked = config.inference.checkpoint
    changed = asked != own.inference.checkpoint
    return EnsembleChoice(
        runs=[
            RunChoice(
                run=str(run.path),
                checkpoint=asked if changed else run.config.inference.checkpoint,
                weight=1 / len(runs),
            )
            for run in runs
        ],
        tta=config.tta,
        post=config.post,
    )


def check_hashes(choice: EnsembleChoice) -> list[str]:
    """Refuse a choice whose weights changed since it was made; returns files of folds trained since then.

    Raises:
        InferenceError: weights are gone, or others than those it was tuned on.
    """
    now = {}
    for part in choice.runs:
        run = Run.open(Path(part.run))
        for fold in map(run.fold, run.finished_folds()):
            now |= {str(fold.checkpoint_path(name)): fold.digest(name) for name in fold.weights_of(part.checkpoint)}
    changed = [path for path, digest in choice.hashes.items() if now.get(path) != digest]
    if changed:
        raise InferenceError(
            f"{changed[0]} is not what the ensemble was tuned on: run {command_line('tune')} again, or predict "
            "with --untuned"
        )
    return sorted(set(now) - set(choice.hashes))


def refuse_without_presence(choice: EnsembleChoice, competition: Competition, runs: Sequence[Run]) -> None:
    """Raise a ConfigError where the decoding asks for a presence that no run predicts that weighs something.

    ``runs`` are those of the choice, in its order.
    """
    weights = [part.weight for part in choice.runs]
    available = any(run.config.model.presence for run, weight in zip(runs, weights, strict=True) if weight > 0)
    build_chain(choice.post, competition.labels, competition.images).check_presence(available)


def predict_samples(
    choice: EnsembleChoice,
    competition: Competition,
    samples: Samples,
    folds: Sequence[int | str] | None = None,
    *,
    batch_size: int,
    engine: Engine = "torch",
    runs: Sequence[Run] | None = None,
) -> Iterator[Prediction]:
    """Stream the ensemble's probabilities at `Competition.scored_size`, each run reading the images once.

    Within a run, all folds' networks and views are merged as in ``choice.tta.merge``, folds with equal weight;
    runs are then averaged by their weights, as tuning did.

    Args:
        folds: of each run; `None`: its finished folds, else ``all`` where only that is trained.
        batch_size: images per batch.
        engine: what the networks run on; ``onnx``: onnxruntime, in float32, see `maskfold.ensembling.engines`.
        runs: of the choice, in its order; `None`: opened where the choice says.

    Raises:
        ConfigError: the decoding asks for a presence that no run predicts.
    """
    if engine == "onnx":
        refuse_dropout(choice.tta)
    opened = runs or [Run.open(Path(part.run)) for part in choice.runs]
    refuse_without_presence(choice, competition, opened)
    pairs = [(run, part) for run, part in zip(opened, choice.runs, strict=True) if part.weight > 0]
    used = [part for _, part in pairs]
    streams = [_run_stream(run, choice, part, competition, samples, folds, batch_size, engine) for run, part in pairs]
    total = sum(run.weight for run in used)
    for together in zip(*streams, strict=True):
        mean = sum(p.probability * np.float32(m.weight / total) for p, m in zip(together, used, strict=True))
        presence = mean_presence((m.weight, p.presence) for p, m in zip(together, used, strict=True))
        inside = mean_presence((m.weight, p.inside) for p, m in zip(together, used, strict=True))
        first = together[0]
        image = partial(competition.image, samples.by_id[first.id].image)
        yield replace(first, probability=mean, presence=presence, inside=inside, image=image)


def test_samples(competition: Competition) -> Samples:
    """The images to predict.

    Raises:
        InferenceError: there are none.
    """
    samples = competition.samples("test")
    if not samples:
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
    """Decode a stream and write the validated submission; returns counts of images and of empty masks.

    Args:
        probabilities: folder to store the 8-bit maps in as well.
    """
    empty = 0
    decode = build_chain(choice.post, competition.labels, competition.images)
    with ExitStack() as stack:
        store = None
        if probabilities is not None:
            made_with = choice.model_dump(mode="json")
            store = stack.enter_context(MapStore(LocalStorage(probabilities), "").replace(made_with))
        # Entered last, so left first: maps are kept only beside a submission that is valid.
        writer = stack.enter_context(SubmissionWriter(competition, path, ids))
        for prediction in progress(predictions, "predict", total=len(ids)):
            mask = decode(prediction)
            mask = mask if competition.instances else plain(mask)
            writer.write(prediction.id, mask)
            if store is not None:
                store.write(prediction.id, prediction.probability, prediction.presence, prediction.inside)
            empty += not mask.any()
    return {"images": len(ids), "empty": empty}


def _run_stream(
    run: Run,
    choice: EnsembleChoice,
    part: RunChoice,
    competition: Competition,
    samples: Samples,
    folds: Sequence[int | str] | None,
    batch_size: int,
    engine: Engine,
) -> Iterator[Prediction]:
    folds = folds or folds_of(run)
    networks, weights = run_networks(run, part.checkpoint, folds, competition)
    if engine == "onnx":
        networks = onnx_networks(run, part.checkpoint, folds, networks, competition)
    device = choose_device()
    return predict_batches(
        networks,
        image_loader(competition, samples, with_batch_size(run.config, batch_size)),
        labels=competition.labels,
        tta=choice.tta,
        window_batch=batch_size,
        weights=weights,
        seed=run.config.seed,
        device=device,
        precision=choose_precision(run.config.train.precision, device),
    )
