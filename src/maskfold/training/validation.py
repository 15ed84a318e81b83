"""Scores of a network, or of several averaged, on a fold's validation images."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import islice

import numpy as np
import torch
from accelerate.utils import broadcast, gather_object
from torch import nn

from maskfold.config import TTAConfig
from maskfold.ensembling.checkpoints import adapt_networks, oof_facts, oof_place
from maskfold.errors import InferenceError
from maskfold.inference.decoding import build_chain, telling_apart
from maskfold.inference.predict import Prediction, predict_batches
from maskfold.metrics import Evaluation, gathered_stats
from maskfold.progress import progress
from maskfold.training.forecast import Pace
from maskfold.training.session import Session
from maskfold.training.watch import mask_loss


def validate(
    session: Session,
    networks: Sequence[nn.Module],
    *,
    shared: bool = True,
    look: Callable[[Prediction], None] | None = None,
) -> Evaluation:
    """Score at threshold 0.5 without views and passes with dropout; objects are told apart as ``post`` has it.

    Args:
        session: whose validation images are predicted.
        networks: of which the mean predicts.
        shared: every process does its part and gets the whole; else the caller alone does all, and shows progress.
        look: is shown every prediction of this process.
    """
    tta = without_views(session.config.tta)
    if shared:
        # Batch-norm statistics are each process's own; those of the main process are the ones that are saved.
        broadcast(list(session.network.buffers()))
        predictions = _predictions(session, networks, tta, session.data.valid)
    else:
        predictions = _shown(session, "scores", _predictions(session, networks, tta, session.data.valid_whole))
    found = []
    for prediction in predictions:
        found.append((prediction.index, _stats(session, prediction)))
        if look is not None:
            look(prediction)
    return _scores(session, gather_object(found) if shared else found, session.data.valid_ids)


def score_training(session: Session) -> float | None:
    """Score the network on some of the images that it is trained on, looked at like validation images; None: none."""
    if session.data.watched is None:
        return None
    tta = without_views(session.config.tta)
    predictions = _predictions(session, [session.network], tta, session.data.watched)
    found = [(prediction.index, _stats(session, prediction)) for prediction in predictions]
    return _scores(session, gather_object(found), session.data.watched_ids).score


def store_oof(session: Session, networks: Sequence[nn.Module], checkpoint: str) -> Evaluation:
    """Store a checkpoint's out-of-fold maps, made with the config's own views, and score them."""
    found = []
    competition = session.competition
    images = competition.samples("train").select(session.data.valid_ids)
    adapt_networks(networks, images, competition, session.config, session.config.tta)
    tta, label = session.config.tta, f"out-of-fold maps of {checkpoint}"
    predictions = _shown(session, label, _predictions(session, networks, tta, session.data.valid_whole))
    place, facts = oof_place(checkpoint, tta), oof_facts(session.fold, checkpoint, tta, competition.submission_size)
    maps = session.fold.oof(place)
    with session.fold.lock("oof", place, wait=True):
        maps.sweep()
        with maps.replace(facts) as store:
            for prediction in predictions:
                store.write(prediction.id, prediction.probability, prediction.presence, prediction.inside)
                found.append((prediction.index, _stats(session, prediction)))
    return _scores(session, found, session.data.valid_ids)


def check_start(session: Session) -> None:
    """Validate two batches and write the first state, so that what would break after an hour breaks at once.

    It also measures how long an image takes, with the config's views and without: in the second batch, where there is
    one, since the first one pays for the device's start.
    """
    if session.is_main:
        session.fold.reopen()  # what an earlier end wrote down no longer holds once training goes on
    if session.data.valid is not None:
        try:
            for batch in islice(session.data.valid, 2):
                image, plain = (score_batch(session, batch, views=views) for views in (True, False))
                session.pace = Pace(image=image / len(batch["id"]), plain=plain / len(batch["id"]))
        except InferenceError:
            # Untrained weights may overflow fp16, which means nothing for the training to come.
            if session.precision is not torch.float16:
                raise
    if not session.fold.has_state():
        started = time.monotonic()
        session.save()
        if session.is_main:
            session.run.refuse_replaced(session.fold.name)
        # Later states hold the optimiser's own tensors too, and the best weights are stored beside them.
        session.pace = replace(session.pace, saving=2 * (time.monotonic() - started))


def score_batch(session: Session, batch: dict, *, views: bool) -> float:
    """Predict, decode and score a batch, with the config's views or none, keep nothing, and return the seconds.

    Without views as each epoch does it, the loss included.
    """
    tta = session.config.tta if views else without_views(session.config.tta)
    started = time.monotonic()
    for prediction in _predictions(session, [session.network], tta, [batch]):
        _stats(session, prediction)
        if not views:
            mask_loss(session, prediction)
    return time.monotonic() - started


def without_views(tta: TTAConfig) -> TTAConfig:
    """The plainest prediction: nothing is merged or adapted, only that images are seen in windows stays."""
    return TTAConfig(views="none", window=tta.window, overlap=tta.overlap)


def _shown(session: Session, label: str, predictions: Iterator[Prediction]) -> Iterator[Prediction]:
    return progress(predictions, f"fold {session.fold.name}: {label}", total=len(session.data.valid_ids))


def _predictions(
    session: Session, networks: Sequence[nn.Module], tta: TTAConfig, batches: Iterable[dict] | None
) -> Iterator[Prediction]:
    assert batches is not None  # nothing of fold "all" is validated
    return predict_batches(
        networks,
        batches,
        labels=session.competition.labels,
        tta=tta,
        window_batch=session.config.inference.batch_size,
        seed=session.config.seed,
        device=session.accelerator.device,
        precision=session.precision,
    )


def _stats(session: Session, prediction: Prediction) -> np.ndarray:
    assert prediction.label is not None  # validation images are training images, which have masks
    competition = session.competition
    decode = build_chain(telling_apart(session.config.post), competition.labels, competition.images)
    image = partial(competition.image, competition.samples("train").by_id[prediction.id].image)
    mask = decode(replace(prediction, image=image))
    return session.metric.stats_of(mask, prediction.label)


def _scores(session: Session, found: list[tuple[int, np.ndarray]], ids: list[str]) -> Evaluation:
    rows = dict(found)
    stats = gathered_stats(session.metric, ids, [rows[index] for index in range(len(ids))])
    return Evaluation(session.metric, ids, stats)
