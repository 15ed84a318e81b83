"""The training loop of one fold."""

from contextlib import nullcontext

import torch
from accelerate.utils import broadcast_object_list

from maskfold.competitions import Competition
from maskfold.config import Config
from maskfold.datasets import fold_splits
from maskfold.errors import TrainingError
from maskfold.runs import Run
from maskfold.training.candidates import finish
from maskfold.training.data import ALL, ensure_folds
from maskfold.training.logging import EpochLog, RunLog
from maskfold.training.optim import set_learning_rate
from maskfold.training.processes import processes
from maskfold.training.session import Session, open_session
from maskfold.training.validation import rehearse, validate


def fit(config: Config, competition: Competition, run: Run, fold: int | str) -> dict:
    """Train one fold, from the start or from where it was interrupted, and return its summary.

    Killed at any instant, the same call replays the broken epoch; on a CPU the end is the same bit for bit.

    Raises:
        TrainingError, RunError, CompetitionError, ModelError: see their messages.
    """
    with processes().main_process_first():
        folds = ensure_folds(run.folds_path, competition, config)
    if fold != ALL:
        fold_splits(folds, fold)  # refuses a number that is no fold before its folder is made
    with run.fold(fold).lock() if processes().is_main_process else nullcontext():
        session = open_session(config, competition, run, fold, folds)
        session.resume()
        log = RunLog(session)
        rehearse(session)
        while session.epoch < session.total_epochs and not _stop_reason(session, log):
            session.epoch += 1
            row = train_epoch(session, log)
            row |= judge(session)
            log.epoch_done(row)
            session.save()
        summary = finish(session, log)
        log.close()
    return summary


def train_epoch(session: Session, log: RunLog) -> dict:
    """One pass over the epoch's batches; returns its row of the log."""
    session.seed_epoch(session.epoch)
    session.loss.set_epoch(session.epoch)
    session.data.sampler.epoch = session.epoch
    _freeze_encoder(session, session.epoch <= session.config.optim.freeze_encoder_epochs)
    epoch_log = EpochLog()
    for number, batch in enumerate(log.batches(session.data.train), start=1):
        if number > session.batches_per_epoch or session.step >= session.total_steps:
            break
        terms = train_batch(session, batch)
        epoch_log.add(terms)
        log.show(epoch_log, number)
    means = epoch_log.means(session.accelerator)
    _check_finite(session, means)
    session.averages.after_epoch(session.network, session.epoch / session.total_epochs)
    return {
        "epoch": session.epoch,
        "step": session.step,
        "lr": session.optimizer.param_groups[-1]["lr"],
        **means,
    }


def train_batch(session: Session, batch: dict) -> dict[str, torch.Tensor]:
    """Forward, backward and, with every ``accumulate``-th batch, an optimiser step; returns the loss's terms."""
    accelerator = session.accelerator
    session.wrapped.train()
    with accelerator.accumulate(session.wrapped):
        set_learning_rate(session.optimizer, session.lr_factor(session.step))
        images, targets, valid = _to_device(session, batch)
        loss = session.loss(session.wrapped(images), targets.pop("mask"), valid, **targets)
        accelerator.backward(loss)
        if accelerator.sync_gradients and session.config.optim.clip_norm is not None:
            accelerator.clip_grad_norm_(session.wrapped.parameters(), session.config.optim.clip_norm)
        session.optimizer.step()
        session.optimizer.zero_grad()
    if accelerator.sync_gradients:
        session.step += 1
        session.averages.after_step(session.network)
    return {"loss": loss.detach(), **session.loss.terms}


def judge(session: Session) -> dict:
    """Validate where it is due, keep the best weights, take a snapshot at a cycle's end."""
    last = session.epoch == session.total_epochs
    row: dict = {f"valid_{session.metric.name}": None, "best": None}
    if session.data.valid is not None and (last or session.epoch % session.config.train.validate_every == 0):
        score = validate(session, [session.network]).score
        row[f"valid_{session.metric.name}"] = score
        if session.best is None or score > session.best:
            session.best = score
            session.save_weights("best")
        row["best"] = session.best
    if session.config.schedule.name == "snapshot" and session.epoch in session.cycle_ends:
        session.save_weights(f"snapshot_{session.cycle_ends.index(session.epoch) + 1}")
    return row


def _to_device(session: Session, batch: dict) -> tuple[torch.Tensor, dict[str, torch.Tensor], torch.Tensor]:
    device = session.accelerator.device
    layout = torch.channels_last if session.config.train.channels_last else torch.preserve_format
    images = batch["image"].to(device, non_blocking=True, memory_format=layout)
    targets = {name: target.to(device, non_blocking=True) for name, target in batch["targets"].items()}
    return images, targets, batch["valid"].to(device, non_blocking=True)


def _freeze_encoder(session: Session, frozen: bool) -> None:
    for parameter in session.network.encoder_parameters():
        parameter.requires_grad_(not frozen)


def _check_finite(session: Session, means: dict[str, float]) -> None:
    # Checked per epoch, before anything is saved: a check per step would make a GPU wait.
    broken = [name for name, value in means.items() if value != value or abs(value) == float("inf")]
    if broken:
        raise TrainingError(
            f"{', '.join(broken)} became {means[broken[0]]} in epoch {session.epoch}: nothing of this epoch was kept; "
            f"lower optim.lr (now {session.config.optim.lr:g}), set optim.clip_norm, or use train.precision fp32"
        )


def _stop_reason(session: Session, log: RunLog) -> str | None:
    """Why training ends before its last epoch, if it does. Clocks differ: the main process decides for all."""
    reason = broadcast_object_list([_out_of_time(session) or _no_progress(session)])[0]
    if reason:
        log.say(reason)
    return reason


def _out_of_time(session: Session) -> str | None:
    limit = session.config.train.max_hours
    if limit is None or session.epoch == 0:
        return None
    hours = session.elapsed() / 3600
    if hours + hours / session.epoch <= limit:
        return None
    return f"stopped after epoch {session.epoch}: another would pass train.max_hours {limit:g}"


def _no_progress(session: Session) -> str | None:
    patience = session.config.train.early_stop
    scores = [row["best"] for row in session.history if row.get("best") is not None]
    if patience is None or len(scores) <= patience or scores[-1] > scores[-1 - patience]:
        return None
    return f"stopped after epoch {session.epoch}: {patience} validations without a better score"
