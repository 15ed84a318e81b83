"""The training loop of one fold. It knows no loss, no network and no optimiser: see `maskfold.training.step`."""

import gc
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import cast

from maskfold.datasets import fold_splits
from maskfold.device import steady_shapes
from maskfold.errors import LISTED, TrainingError, first_few
from maskfold.runs import Run
from maskfold.runs.fold import ALL
from maskfold.runs.history import VALID_LOSS
from maskfold.training.callbacks import Callback
from maskfold.training.candidates import finish
from maskfold.training.empty_labels import Seen, refuse_empty_labels
from maskfold.training.finite import FirstBroken, all_finite
from maskfold.training.logging import EpochLog, RunLog
from maskfold.training.midway import go_on, save_if_due
from maskfold.training.processes import processes
from maskfold.training.session import Session, open_session
from maskfold.training.start import refuse_random_encoder
from maskfold.training.validation import check_start, score_training, validate
from maskfold.training.watch import Watch

logger = logging.getLogger(__name__)


def fit(run: Run, fold: int | str, callbacks: Sequence[Callback] = ()) -> dict:
    """Train one fold, from the start or from where it was interrupted, and return its summary.

    Killed at any instant, the same call replays the broken epoch, or what of it is not stored yet
    (``train.save_minutes``); on a CPU the end is the same bit for bit. A fold
    that ``train.max_hours`` ended goes on where the limit was raised.

    Args:
        callbacks: beside those that the config asks for.

    Raises:
        TrainingError, RunError, CompetitionError, FoldsError, ModelError, ConfigError: see their messages.
    """
    refuse_random_encoder(run.config)
    with processes().main_process_first():
        folds = run.folds()
    if fold != ALL:
        fold_splits(folds, cast("int", fold))  # refuses a number that is not a fold before its folder is made
    with _held(run, fold) if processes().is_main_process else nullcontext():
        session = open_session(run, fold, callbacks)
        session.resume()
        log = RunLog(session)
        check_start(session)
        while session.epoch < session.length.epochs:
            session.stopped = session.stop_reason()
            if session.stopped:
                log.tell(f"fold {fold}: stopped after epoch {session.epoch}: {session.stopped}")
                break
            session.epoch += 1
            with steady_shapes():  # crops have one shape; what is validated and predicted may have many
                row = train_epoch(session, log)
            with session.train_step.settled():
                session.averages.after_epoch(session.network, session.epoch / session.length.epochs)
                row |= validate_epoch(session)
            log.epoch_done(row)
            session.save()
        with session.train_step.settled():
            summary = finish(session, log)
        log.close()
    session.data.end_workers()
    del session, log
    gc.collect()  # a session refers to itself: its data workers would stay until Python happens to collect it
    return summary


@contextmanager
def _held(run: Run, fold: int | str) -> Iterator[None]:
    """Hold the fold's lock, see that it was begun with these folds and this config, clear what kills left."""
    with run.fold(fold).lock():
        run.bind(fold)
        run.fold(fold).sweep()
        yield


def train_epoch(session: Session, log: RunLog) -> dict:
    """One pass over the epoch's batches, or over those that are left of it; returns its row of the log."""
    session.seed_epoch(session.epoch)
    session.train_step.begin_epoch(session.epoch)
    session.data.sampler.epoch = session.epoch
    epoch_log, broken = EpochLog(), FirstBroken()
    seen = Seen(session.competition.labels, session.config.targets.smoothing.uniform)
    first = go_on(session, epoch_log, seen)
    for number, batch in enumerate(log.batches(session.data.train, first), start=first + 1):
        if number > session.length.batches_per_epoch or session.step >= session.length.steps:
            break
        seen.look(batch)
        terms = session.train_step(batch)
        epoch_log.add(terms)
        broken.look(batch["id"], terms["loss"])
        log.show(epoch_log, number)
        save_if_due(session, epoch_log, seen, number)
    session.data.sampler.first = 0
    if session.epoch == 1:
        refuse_empty_labels(session, seen)
    means = epoch_log.means(session.accelerator)
    _check_finite(session, means, broken)
    optimizer = next(iter(session.train_step.optimizers.values()))
    return {"epoch": session.epoch, "step": session.step, "lr": optimizer.param_groups[-1]["lr"], **means}


def validate_epoch(session: Session) -> dict:
    """Validate where it is due, keep the best weights, store a snapshot at a cycle's end."""
    last = session.epoch == session.length.epochs
    valid, train = f"valid_{session.metric.name}", f"train_{session.metric.name}"
    row: dict = dict.fromkeys((valid, "best", VALID_LOSS, train))
    if session.data.valid is not None and (last or session.epoch % session.config.train.validate_every == 0):
        watch = Watch(session)
        score = validate(session, [session.network], look=watch).score
        row |= {valid: score, VALID_LOSS: watch.loss(), train: score_training(session)}
        watch.draw(f"fold {session.fold.name} epoch {session.epoch}: {session.metric.name} {score:.4f}")
        if score != score:
            logger.warning("fold %s: nothing of its validation images could be scored (NaN)", session.fold.name)
        if is_better(score, session.best):
            session.best = score
            session.save_weights("best")
        row["best"] = session.best
    if session.config.schedule.name == "snapshot" and session.epoch in session.length.cycle_ends:
        session.save_weights(f"snapshot_{session.length.cycle_ends.index(session.epoch) + 1}")
    return row


def is_better(score: float, best: float | None) -> bool:
    """Whether ``score`` takes the place of ``best``; NaN, where nothing could be scored, gives way to everything."""
    return best is None or best != best or score > best


def _check_finite(session: Session, means: dict[str, float], first: FirstBroken) -> None:
    # Checked per epoch, before anything is saved: a check per step would make a GPU wait. The last step may break the
    # weights, which no loss shows.
    if not all_finite(session.learned()):
        means = {**means, "the weights": float("nan")}
    broken = [name for name, value in means.items() if value != value or abs(value) == float("inf")]
    if broken:
        images = f", first in the batch of {first_few(first.ids(), LISTED)}" if first.ids() else ""
        raise TrainingError(
            f"{', '.join(broken)} became {means[broken[0]]} in epoch {session.epoch}{images}: nothing of this epoch "
            f"was kept; look at them, lower optim.lr (now {session.config.optim.lr:g}), set optim.clip_norm, or use "
            "train.precision fp32"
        )
