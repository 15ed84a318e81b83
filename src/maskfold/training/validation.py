"""Scores of a network, or of several averaged, on a fold's validation images."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

import numpy as np
import torch
from accelerate.utils import broadcast, gather_object
from torch import nn

from maskfold.config import InferenceConfig
from maskfold.ensembling.checkpoints import oof_options
from maskfold.errors import InferenceError
from maskfold.inference.decoding import postprocess
from maskfold.inference.predict import Prediction, predict_batches
from maskfold.metrics import Evaluation
from maskfold.runs import MapStore
from maskfold.training.session import Session

NO_VIEWS = {"views": "none", "scales": (1.0,), "merge": "probabilities"}


def validate(session: Session, networks: Sequence[nn.Module], *, shared: bool = True) -> Evaluation:
    """Score at threshold 0.5 without views. ``shared``: every process does its part and gets the whole."""
    options = session.config.inference.model_copy(update=NO_VIEWS)
    if shared:
        # Batch-norm statistics are each process's own; those of the main process are the ones that are saved.
        broadcast(list(session.network.buffers()))
    loader = session.data.valid if shared else session.data.valid_whole
    found = [(p.index, _stats(session, p)) for p in _predictions(session, networks, options, loader)]
    return _scores(session, gather_object(found) if shared else found)


def store_oof(session: Session, networks: Sequence[nn.Module], checkpoint: str) -> Evaluation:
    """Store a checkpoint's out-of-fold maps, made with the config's own views, and score them."""
    found = []
    classes = session.competition.labels.channels
    made_with = oof_options(session.config.inference)
    with MapStore.create(session.fold.oof(checkpoint).folder, classes, made_with) as store:
        for prediction in _predictions(session, networks, session.config.inference, session.data.valid_whole):
            store.write(prediction.id, prediction.probability)
            found.append((prediction.index, _stats(session, prediction)))
    return _scores(session, found)


def rehearse(session: Session) -> None:
    """Validate two batches and write the state, so that what would break after an hour breaks at once."""
    if session.data.valid is not None:
        try:
            batches = islice(session.data.valid, 2)
            for prediction in _predictions(session, [session.network], session.config.inference, batches):
                _stats(session, prediction)
        except InferenceError:
            # Untrained weights may overflow fp16, which says nothing about the training to come.
            if session.precision is not torch.float16:
                raise
    session.save()


def _predictions(
    session: Session, networks: Sequence[nn.Module], options: InferenceConfig, batches: Iterable[dict]
) -> Iterator[Prediction]:
    return predict_batches(
        networks,
        batches,
        labels=session.competition.labels,
        options=options,
        device=session.accelerator.device,
        precision=session.precision,
    )


def _stats(session: Session, prediction: Prediction) -> np.ndarray:
    mask = postprocess(prediction.probability, session.competition.labels)
    return session.metric.image_stats(mask, prediction.label)


def _scores(session: Session, found: list[tuple[int, np.ndarray]]) -> Evaluation:
    rows = dict(found)
    stats = np.stack([rows[index] for index in range(len(session.data.valid_ids))])
    return Evaluation(session.metric, session.data.valid_ids, stats)
