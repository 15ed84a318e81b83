"""The networks of a run's checkpoints, and their out-of-fold maps."""

from typing import Any

import torch
from torch import nn

from maskfold.competitions import Competition
from maskfold.config import InferenceConfig
from maskfold.datasets import fold_splits, image_loader
from maskfold.device import choose_device, choose_precision
from maskfold.errors import InferenceError
from maskfold.inference.predict import predict_batches
from maskfold.models import build_model
from maskfold.progress import progress
from maskfold.runs import FoldFolder, MapStore, Run


def load_networks(run: Run, fold: FoldFolder, kind: str, competition: Competition) -> list[nn.Module]:
    """The networks of one fold's checkpoint, with weights checked against the fold's manifest.

    Raises:
        RunError: the fold lacks the checkpoint, or a file is missing or damaged.
    """
    layout = torch.channels_last if run.config.train.channels_last else torch.preserve_format
    networks = []
    for checkpoint in fold.weights_of(kind):
        network = build_model(run.config.model, num_classes=competition.num_classes, pretrained=False)
        network.load_state_dict(fold.load_checkpoint(checkpoint))
        networks.append(network.eval().to(memory_format=layout))
    return networks


def oof_options(options: InferenceConfig) -> dict[str, Any]:
    """What out-of-fold maps depend on besides the weights."""
    return options.model_dump(mode="json", include={"views", "scales", "merge", "window", "overlap"})


def ensure_oof(run: Run, fold: int, kind: str, competition: Competition, options: InferenceConfig) -> MapStore:
    """A fold's out-of-fold maps of a checkpoint made with ``options``; computed where they are not there yet."""
    folder = run.fold(fold)
    store = folder.oof(kind)
    if store.made_with() != oof_options(options):
        _compute_oof(run, fold, kind, competition, options, store)
    return store


def _compute_oof(
    run: Run, fold: int, kind: str, competition: Competition, options: InferenceConfig, store: MapStore
) -> None:
    samples = competition.samples("train")
    _, valid = fold_splits(run.folds(competition), fold)
    if valid.empty:
        raise InferenceError(f"fold {fold} of {run.path} has no validation images: nothing to score")
    images = samples[samples["id"].isin(valid["id"])].reset_index(drop=True)
    device = choose_device()
    predictions = predict_batches(
        load_networks(run, run.fold(fold), kind, competition),
        image_loader(competition, images, run.config.model_copy(update={"inference": options})),
        options=options,
        weights=None,
        device=device,
        precision=choose_precision(run.config.train.precision, device),
    )
    with store.replace(oof_options(options)) as new:
        for prediction in progress(predictions, f"{run.name} fold {fold} {kind}", total=len(images)):
            new.write(prediction.id, prediction.probability)
