"""All that one fold's training holds together, built from a run and restored from ``last.pt``."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import broadcast_object_list, set_seed

from maskfold.competitions import Competition
from maskfold.config import Config
from maskfold.config.undecided import open_keys
from maskfold.errors import RunError, TrainingError
from maskfold.inference.decoding import build_chain
from maskfold.losses import MixedLoss, build_loss, default_loss
from maskfold.metrics import CompetitionMetric
from maskfold.models import SegmentationModel
from maskfold.runs import FoldFolder, Run
from maskfold.runs.fold import LAST
from maskfold.runs.manifest import AGAIN
from maskfold.training.adversarial import Adversarial, check_reached
from maskfold.training.averaging import WeightAverages
from maskfold.training.callbacks import Callback, stop_rules
from maskfold.training.data import FoldData, fold_data
from maskfold.training.forecast import Pace
from maskfold.training.length import Length
from maskfold.training.mean_teacher import MeanTeacher, check_ramp, check_unlabelled
from maskfold.training.midway import batches_done
from maskfold.training.optim import restore_optimizer
from maskfold.training.optimism import optimistic
from maskfold.training.processes import build_accelerator, processes
from maskfold.training.start import start_network
from maskfold.training.step import Setup, Supervised, TrainStep
from maskfold.training.taught import refuse_other_teaching, taught_by


@dataclass
class Session:
    """One fold's training and how far it has come.

    Attributes:
        epoch: complete epochs, or the number of the one that is being trained, from 1.
        step: optimiser steps so far, as this number of processes counts them.
        seconds: of earlier, interrupted sessions.
        best: highest validation score; NaN where none could be scored.
        history: a row of ``metrics.csv`` per epoch.
        stopped: why training ended before its last epoch, if it did.
        optimistic: whether the fold learns from networks that saw its validation images.
        pace: of validation, once its first batches were timed.
        stored: names of the checkpoints that training has stored so far.
        midway: how far the epoch after ``epoch`` was trained by an earlier session, see `maskfold.training.midway`.
        taught_by: digests of what other runs predicted and this fold learns from, see `maskfold.training.taught`.
        saved_at: when the state was stored last.
    """

    run: Run
    fold: FoldFolder
    accelerator: Accelerator
    precision: torch.dtype | None
    data: FoldData
    length: Length
    averages: WeightAverages
    callbacks: Sequence[Callback]
    optimistic: bool = False
    train_step: TrainStep = field(init=False)
    epoch: int = 0
    step: int = 0
    seconds: float = 0.0
    best: float | None = None
    history: list[dict[str, Any]] = field(default_factory=list)
    stopped: str | None = None
    pace: Pace = field(default_factory=Pace)
    stored: list[str] = field(default_factory=list)
    midway: dict[str, Any] | None = None
    taught_by: dict[str, str] = field(default_factory=dict)
    saved_at: float = field(default_factory=time.monotonic)
    started: float = field(default_factory=time.monotonic)

    @property
    def config(self) -> Config:
        """The run's config."""
        return self.run.config

    @property
    def competition(self) -> Competition:
        """The run's competition."""
        return self.run.competition()

    @property
    def metric(self) -> CompetitionMetric:
        """The competition's score."""
        return self.competition.metric

    @property
    def network(self) -> SegmentationModel:
        """The network that is validated and stored."""
        return self.train_step.network

    @property
    def is_main(self) -> bool:
        """Whether this process writes files."""
        return self.accelerator.is_main_process

    def elapsed(self) -> float:
        """Seconds of training so far, those of earlier, interrupted sessions included."""
        return self.seconds + time.monotonic() - self.started

    def lr_factor(self) -> float:
        """Factor on the peak learning rate of the coming step."""
        return self.length.lr_factor(self.step)

    def step_done(self) -> None:
        """Count an optimiser step, and let averages and callbacks follow."""
        self.step += 1
        self.averages.after_step(self.network)
        for callback in self.callbacks:
            callback.on_step(self)

    def stop_reason(self) -> str | None:
        """Why training should end before the next epoch. Clocks differ: the main process decides for all."""
        reasons = [callback.on_epoch(self) for callback in self.callbacks]
        return broadcast_object_list([next(filter(None, reasons), None)])[0]

    def seed_epoch(self, epoch: int) -> None:
        """Make all that is random in an epoch a function of (seed, epoch, process): dropout, above all.

        Augmentation and order have their own, likewise stateless, seeds. So a broken epoch can be replayed
        without any generator's state.
        """
        set_seed(mixed_seed(self.config.seed, epoch, self.accelerator.process_index))

    def learned(self) -> list[torch.Tensor]:
        """The parameters of all networks that are trained."""
        return [value for module in self.train_step.modules.values() for value in module.parameters()]

    def save(self, midway: dict[str, Any] | None = None) -> None:
        """Store the complete state after an epoch, or ``midway`` through one; the former one is kept beside it."""
        self.saved_at = time.monotonic()
        if not self.is_main:
            return
        step = self.train_step
        self.fold.save_state(
            {
                "epoch": self.epoch - (midway is not None),
                "midway": midway,
                "weights": self.stored,
                "seconds": self.elapsed(),
                "best": self.best,
                "history": self.history,
                "modules": {name: module.state_dict() for name, module in step.modules.items()},
                "optimizers": {name: optimizer.state_dict() for name, optimizer in step.optimizers.items()},
                "scaler": self.accelerator.scaler.state_dict() if self.accelerator.scaler else None,
                "averages": self.averages.state_dict(),
                "optimistic": self.optimistic,
                "taught_by": self.taught_by,
            }
        )

    def save_weights(self, checkpoint: str) -> None:
        """Store a copy of the present weights as ``checkpoint``."""
        if self.is_main:
            self.fold.save_checkpoint(checkpoint, self.network.state_dict())
            self.stored = sorted({*self.stored, checkpoint})

    def resume(self) -> None:
        """Go back to the last complete epoch, or to a state midway through the next one, if there is any.

        Raises:
            RunError: the state is damaged, or of another network or optimiser; a checkpoint that it had stored is
                damaged or gone; what other runs predicted and the fold learns from is no longer the same.
        """
        with processes().main_process_first():  # it removes a state that is damaged
            state = self.fold.load_state()
        if state is None:
            return
        refuse_other_teaching(self.fold.name, state.get("taught_by", {}), self.taught_by)
        if self.is_main:
            self.fold.check_weights(state["weights"])
        try:
            for name, module in self.train_step.modules.items():
                module.load_state_dict(state["modules"][name])
            for name, optimizer in self.train_step.optimizers.items():
                restore_optimizer(optimizer, state["optimizers"][name])
            self.averages.load_state_dict(state["averages"])
            # Where the precision is auto, a device without fp16 may have made the state, or be here now.
            if self.accelerator.scaler is not None and state["scaler"]:
                self.accelerator.scaler.load_state_dict(state["scaler"])
            for name in ("epoch", "seconds", "best", "history", "midway"):
                setattr(self, name, state[name])
            self.stored = state["weights"]
        except (KeyError, RuntimeError, ValueError) as error:
            reason = str(error).splitlines()[0]
            raise RunError(f"{self.fold.path / LAST} does not fit this run ({reason}): {AGAIN}") from None
        self.optimistic |= state.get("optimistic", False)
        # An earlier session may have had another number of processes, and so another number of steps per epoch.
        self.step = self.length.steps_until(self.epoch)
        if self.midway:
            self.step += batches_done(self, self.midway) // self.config.train.accumulate


def open_session(run: Run, fold: int | str, callbacks: Sequence[Callback] = ()) -> Session:
    """Build everything afresh; nothing is carried over from a fold trained before.

    Raises:
        TrainingError, ConfigError, ModelError, CompetitionError: what does not fit together.
    """
    config = run.config
    _refuse_open(config)
    competition = run.competition()
    # Prediction's own, but better refused now than after a night.
    build_chain(config.post, competition.labels, competition.images).check_presence(config.model.presence)
    precision, accelerator = build_accelerator(config, project_dir=run.local_path / run.fold(fold).key())
    set_seed(mixed_seed(config.seed, 0, 0))
    device: torch.device = accelerator.device
    network = start_network(run, fold).to(device)
    if config.train.channels_last:
        network = network.to(memory_format=torch.channels_last)
    averages = WeightAverages(network, config.averaging)
    labels = run.competition().labels
    loss = build_loss(config.loss or default_loss(labels), labels, outputs=network.aux_names)
    if config.train.compile:
        network.compile()
    rank, world = accelerator.process_index, accelerator.num_processes
    data = fold_data(run, fold, needs=frozenset(loss.needs), rank=rank, world=world)
    length = Length.of(config, batches=len(data.sampler))
    loss.check_length(length.epochs)
    session = Session(
        run, run.fold(fold), accelerator, precision, data, length, averages, [*stop_rules(config.train), *callbacks]
    )
    session.optimistic, session.taught_by = optimistic(run, fold), taught_by(run, fold)
    session.train_step = _train_step(session, network, loss)
    return session


def _refuse_open(config: Config) -> None:
    left = [f"{key} is auto" for key in open_keys(config) if key != "train.hours"]
    if "train.hours" in open_keys(config):
        left.append(f"train.hours is {config.train.hours:g}, and how many train.iterations that are is not known")
    if left:
        raise TrainingError(f"{' and '.join(left)}: maskfold.train measures it before it trains; give a value here")


def mixed_seed(*parts: int) -> int:
    """A 32-bit seed from several numbers, without the overlaps of their sum."""
    return int(np.random.SeedSequence(parts).generate_state(1)[0])


def _train_step(session: Session, network: SegmentationModel, loss: MixedLoss) -> TrainStep:
    config, labels = session.config, session.competition.labels
    setup = Setup(network, loss, config, session.accelerator, labels, session.lr_factor, session.step_done)
    if config.semi is not None:
        check_ramp(config.semi, session.length.epochs)
        check_unlabelled(config.semi, network)
        return MeanTeacher(setup, session.averages.models["ema"].module)
    if config.adversarial is not None:
        check_reached(config.adversarial, session.length.epochs)
        return Adversarial(setup)
    return Supervised(setup)
