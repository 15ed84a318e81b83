"""Scores of a network, or of several averaged, on a fold's validation images."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

import numpy as np
import torch
from accelerate.utils import broadcast, gather_object
from torch import nn

from maskfold.config import TTAConfig
from maskfold.ensembling.checkpoints import oof_options
from maskfold.ensembling.labels import labels_of
from maskfold.errors import InferenceError
from maskfold.inference.predict import Prediction, predict_batches
from maskfold.metrics import Evaluation
from maskfold.runs import MapStore
from maskfold.training.session import Session

NO_VIEWS = {"views": "none", "scales": (1.0,), "merge": "probabilities"}


def validate(session: Session, networks: Sequence[nn.Module], *, shared: bool = True) -> Evaluation:
    """Score at threshold 0.5 without views. ``shared``: every process does its part and gets the whole."""
    tta = session.config.tta.model_copy(update=NO_VIEWS)
    if shared:
        # Batch-norm statistics are each process's own; those of the main process are the ones that are saved.
        broadcast(list(session.network.buffers()))
    loader = session.data.valid if shared else session.data.valid_whole
    found = [(p.index, _stats(session, p)) for p in _predictions(session, networks, tta, loader)]
    return _scores(session, gather_object(found) if shared else found)


def store_oof(session: Session, networks: Sequence[nn.Module], checkpoint: str) -> Evaluation:
    """Store a checkpoint's out-of-fold maps, made with the config's own views, and score them."""
    found = []
    classes = session.competition.num_classes
    made_with = oof_options(session.config.tta)
    with MapStore.create(session.fold.oof(checkpoint).folder, classes, made_with) as store:
        for prediction in _predictions(session, networks, session.config.tta, session.data.valid_whole):
            store.write(prediction.id, prediction.probability)
            found.append((prediction.index, _stats(session, prediction)))
    return _scores(session, found)


def rehearse(session: Session) -> None:
    """Validate two batches and write the state, so that what would break after an hour breaks at once."""
    if session.data.valid is not None:
        try:
            batches = islice(session.data.valid, 2)
            for prediction in _predictions(session, [session.network], session.config.tta, batches):
                _stats(session, prediction)
        except InferenceError:
            # Untrained weights may overflow fp16, which says nothing about the training to come.
            if session.precision is not torch.float16:
                raise
    session.save()


def _predictions(
    session: Session, networks: Sequence[nn.Module], tta: TTAConfig, batches: Iterable[dict]
) -> Iterator[Prediction]:
    return predict_batches(
        networks,
        batches,
        tta=tta,
        window_batch=session.config.inference.batch_size,
        device=session.accelerator.device,
        precision=session.precision,
    )


def _stats(session: Session, prediction: Prediction) -> np.ndarray:
    mask = labels_of(session.competition).decide(prediction.probability)
    return session.metric.image_stats(mask, prediction.target)


def _scores(session: Session, found: list[tuple[int, np.ndarray]]) -> Evaluation:
    rows = dict(found)
    stats = np.stack([rows[index] for index in range(len(session.data.valid_ids))])
    return Evaluation(session.metric, session.data.valid_ids, stats)
