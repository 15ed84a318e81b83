"""The end of a fold's training: every candidate is scored, the best ones' out-of-fold maps are stored."""

import copy
from collections.abc import Iterator, Mapping, Sized
from datetime import datetime
from itertools import islice
from typing import Any, cast

import numpy as np
import torch
from torch import nn

from maskfold.device import device_name
from maskfold.ensembling.checkpoints import load_networks
from maskfold.ensembling.finished import OPTIMISTIC
from maskfold.ensembling.oof import groups_of
from maskfold.metrics import Evaluation
from maskfold.models import SegmentationModel
from maskfold.progress import progress
from maskfold.runs.statistics import FoldStatistics, write_statistics
from maskfold.training.averaging import recompute_batch_norm
from maskfold.training.logging import RunLog
from maskfold.training.session import Session
from maskfold.training.validation import store_oof, validate


def finish(session: Session, log: RunLog) -> dict[str, Any]:
    """Store the averages, score all candidates, store out-of-fold maps, write and return the summary.

    Done by the main process alone; a kill here is harmless, since all of it is repeated.
    """
    if not session.is_main:
        return {}
    if session.best is None:
        session.save_weights("best")  # never validated (fold "all"): the last weights stand in
    _store_averages(session)
    summary = _facts(session)
    if session.data.valid is not None:
        summary |= _score(session, log)
    session.fold.finish(summary)
    return summary


def checkpoint_names(checkpoints: list[str]) -> list[str]:
    """What may be chosen for prediction: every stored checkpoint, and all snapshots together."""
    snapshots = [checkpoint for checkpoint in checkpoints if checkpoint.startswith("snapshot_")]
    return checkpoints + (["snapshots"] if len(snapshots) > 1 else [])


def _store_averages(session: Session) -> None:
    for name, average in session.averages.begun().items():
        network = copy.deepcopy(cast("SegmentationModel", average.module))
        session.seed_epoch(session.length.epochs + 1)
        with session.accelerator.autocast():
            images, frozen = _training_images(session), session.config.optim.statistics_frozen(session.epoch)
            recompute_batch_norm(network, images, session.accelerator.device, frozen_encoder=frozen)
        session.fold.save_checkpoint(name, network.state_dict())


def _training_images(session: Session) -> Iterator[torch.Tensor]:
    # Augmented as in training, as an epoch of its own, so that the result depends on the seed alone.
    session.data.sampler.epoch = session.length.epochs + 1
    count = min(session.config.averaging.bn_batches, len(session.data.sampler))
    batches = progress(session.data.train, f"fold {session.fold.name}: statistics", total=count, unit="step")
    for batch in islice(batches, count):
        yield batch["image"]


def _score(session: Session, log: RunLog) -> dict[str, Any]:
    checkpoints = checkpoint_names(session.fold.checkpoints())
    found = {checkpoint: validate(session, _networks(session, checkpoint), shared=False) for checkpoint in checkpoints}
    _store_statistics(session, found)
    scores = {checkpoint: result.score for checkpoint, result in found.items()}
    ranked = sorted(scores, key=lambda checkpoint: (-np.nan_to_num(scores[checkpoint], nan=-np.inf), checkpoint))
    kept = ranked[: session.config.train.oof_checkpoints]
    stored = {checkpoint: store_oof(session, _networks(session, checkpoint), checkpoint).score for checkpoint in kept}
    fold, note = f"fold {session.fold.name}", OPTIMISTIC if session.optimistic else ""
    for checkpoint in ranked:
        with_views = f", with views {session.config.tta.views} {stored[checkpoint]:.4f}" if checkpoint in stored else ""
        log.tell(f"{fold} {checkpoint}: {session.metric.name} {scores[checkpoint]:.4f}{with_views}{note}")
    if classes := found[ranked[0]].class_lines():
        log.tell(f"{fold} {ranked[0]}, class by class:{classes}")
    return {"best_checkpoint": ranked[0], "score": scores[ranked[0]], "candidates": scores, "oof": stored}


def _store_statistics(session: Session, found: Mapping[str, Evaluation]) -> None:
    competition, ids = session.competition, session.data.valid_ids
    groups, metric = groups_of(competition, ids, session.config.folds), competition.profile.metric
    for checkpoint, result in found.items():
        facts = metric.name, competition.labels, ids, result.stats, groups, metric.options
        write_statistics(session.fold, checkpoint, FoldStatistics(*facts))


def _networks(session: Session, checkpoint: str) -> list[nn.Module]:
    return load_networks(session.run, session.fold, checkpoint, session.competition)


def _stop(session: Session) -> dict[str, Any]:
    """Why training ended before its last epoch, if it did, and the limit beyond which it may go on."""
    if session.stopped is None:
        return {}
    limit = session.config.train.max_hours
    return {"stopped": session.stopped} | ({} if limit is None else {"max_hours": limit})


def _facts(session: Session) -> dict[str, Any]:
    device = session.accelerator.device
    return {
        "fold": session.fold.name,
        "metric": session.metric.name,
        **({"optimistic": True} if session.optimistic else {}),
        "epochs": session.epoch,
        **_stop(session),
        "steps": session.step,
        "seconds": round(session.elapsed(), 1),
        "ended": datetime.now().astimezone().isoformat(timespec="seconds"),
        "processes": session.accelerator.num_processes,
        "device": device_name(device),
        "precision": str(session.precision or torch.float32).removeprefix("torch."),
        "train_images": len(cast("Sized", session.data.train.dataset)),
        "valid_images": len(session.data.valid_ids),
        **({"unlabelled_images": len(session.data.unlabelled_ids)} if session.config.semi else {}),
    }
