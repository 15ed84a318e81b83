"""All that one fold's training holds together, built from a config and restored from ``last.pt``."""

import time
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.utils import DistributedDataParallelKwargs, set_seed
from torch import nn

from maskfold.competitions import Competition
from maskfold.config import Config
from maskfold.device import choose_precision
from maskfold.errors import RunError, TrainingError
from maskfold.losses import MixedLoss, build_loss
from maskfold.metrics import CompetitionMetric
from maskfold.models import SegmentationModel, build_model, load_weights
from maskfold.runs import FoldFolder, Run, load_state, save_checkpoint, save_state
from maskfold.schedule import cycle_ends, lr_schedule
from maskfold.training.averaging import WeightAverages
from maskfold.training.data import ALL, FoldData, fold_data
from maskfold.training.optim import build_optimizer
from maskfold.training.processes import processes

PRECISION_NAMES = {None: "no", torch.bfloat16: "bf16", torch.float16: "fp16"}


@dataclass
class Session:
    """One fold's training. ``network`` is the plain model; ``wrapped`` the same as accelerate runs it."""

    config: Config
    competition: Competition
    run: Run
    fold: FoldFolder
    folds: pd.DataFrame
    accelerator: Accelerator
    precision: torch.dtype | None
    data: FoldData
    network: SegmentationModel
    wrapped: nn.Module
    loss: MixedLoss
    optimizer: torch.optim.Optimizer
    averages: WeightAverages
    metric: CompetitionMetric
    epoch: int = 0
    step: int = 0
    seconds: float = 0.0
    best: float | None = None
    history: list[dict[str, Any]] = field(default_factory=list)
    started: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self.batches_per_epoch = _usable_batches(len(self.data.sampler), self.config.train.accumulate)
        self.steps_per_epoch = self.batches_per_epoch // self.config.train.accumulate
        self.total_epochs = self.config.train.epochs or -(-self.config.train.iterations // self.steps_per_epoch)
        self.total_steps = self.config.train.iterations or self.total_epochs * self.steps_per_epoch
        if self.config.schedule.cycles > self.total_epochs:
            raise TrainingError(
                f"schedule.cycles is {self.config.schedule.cycles} but train.iterations {self.total_steps} are "
                f"{self.total_epochs} epochs: a cycle needs an epoch at least"
            )
        self.cycle_ends = cycle_ends(self.total_epochs, self.config.schedule.cycles)
        schedule = self.config.schedule
        ends = [min(epoch * self.steps_per_epoch, self.total_steps) for epoch in self.cycle_ends]
        self.lr_factor = lr_schedule(
            schedule.name, ends=ends, warmup=schedule.warmup, final_factor=schedule.final_factor
        )

    @property
    def is_main(self) -> bool:
        """Whether this process writes files."""
        return self.accelerator.is_main_process

    def elapsed(self) -> float:
        """Seconds of training so far, those of earlier, interrupted sessions included."""
        return self.seconds + time.monotonic() - self.started

    def seed_epoch(self, epoch: int) -> None:
        """Make all that is random in an epoch a function of (seed, epoch, process): dropout, above all.

        Augmentation and order have their own, likewise stateless, seeds. So a broken epoch can be replayed
        without any generator's state.
        """
        set_seed(mixed_seed(self.config.seed, epoch, self.accelerator.process_index))

    def save(self) -> None:
        """Write the complete state; on disk it replaces the former one at once."""
        if not self.is_main:
            return
        state = {
            "epoch": self.epoch,
            "step": self.step,
            "seconds": self.elapsed(),
            "best": self.best,
            "history": self.history,
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.accelerator.scaler.state_dict() if self.accelerator.scaler else None,
            "averages": self.averages.state_dict(),
        }
        save_state(state, self.fold.last)

    def save_weights(self, checkpoint: str) -> None:
        """Keep a copy of the present weights on disk as ``checkpoint``."""
        if self.is_main:
            save_checkpoint(self.network.state_dict(), self.fold.checkpoint_path(checkpoint))

    def resume(self) -> None:
        """Go back to the last complete epoch, if there is one."""
        if not self.fold.last.exists():
            return
        state = load_state(self.fold.last)
        try:
            self.network.load_state_dict(state["network"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.averages.load_state_dict(state["averages"])
            if state["scaler"]:
                self.accelerator.scaler.load_state_dict(state["scaler"])
            for name in ("epoch", "step", "seconds", "best", "history"):
                setattr(self, name, state[name])
        except (KeyError, RuntimeError, ValueError) as error:
            reason = str(error).splitlines()[0]
            raise RunError(
                f"{self.fold.last} does not fit this run ({reason}): train the fold again with --overwrite"
            ) from None


def open_session(config: Config, competition: Competition, run: Run, fold: int | str, folds: pd.DataFrame) -> Session:
    """Build everything afresh; nothing is carried over from a fold trained before."""
    folder = run.fold(fold)
    precision, accelerator = _accelerator(config, folder)
    set_seed(mixed_seed(config.seed, 0, 0))
    fresh = config.model.init_from is None
    network = build_model(
        config.model, num_classes=competition.num_classes, images=competition.images, pretrained=fresh
    )
    if not fresh:
        _start_from(network, Run.open(config.model.init_from), run, fold, folds)
    network.to(accelerator.device, memory_format=torch.channels_last if config.train.channels_last else None)
    averages = WeightAverages(network, config.averaging)
    loss = build_loss(config.loss, ignore_index=competition.ignore_index)
    if config.train.compile:
        network.compile()
    wrapped, optimizer = accelerator.prepare(network, build_optimizer(network, config.optim))
    data = fold_data(
        competition,
        config,
        folds,
        fold,
        needs=frozenset(loss.needs),
        rank=accelerator.process_index,
        world=accelerator.num_processes,
    )
    return Session(
        config, competition, run, folder, folds, accelerator, precision, data, network, wrapped,
        loss.to(accelerator.device), optimizer, averages, competition.metric,
    )  # fmt: skip


def mixed_seed(*parts: int) -> int:
    """A 32-bit seed from several numbers, without the overlaps of their sum."""
    return int(np.random.SeedSequence(parts).generate_state(1)[0])


def _accelerator(config: Config, folder: FoldFolder) -> tuple[torch.dtype | None, Accelerator]:
    # accelerate keeps one precision per process; a second run in the same process (a notebook) may want another.
    AcceleratorState._reset_state()
    precision = choose_precision(config.train.precision, processes().device)
    # A frozen encoder, or the stages beyond model.options.encoder_depth, get no gradients: data parallel must look.
    unused = DistributedDataParallelKwargs(find_unused_parameters=True)
    return precision, Accelerator(
        mixed_precision=PRECISION_NAMES[precision],
        gradient_accumulation_steps=config.train.accumulate,
        log_with=list(config.train.trackers) or None,
        project_dir=folder.path,
        kwargs_handlers=[unused],
    )


def _start_from(network: SegmentationModel, source: Run, run: Run, fold: int | str, folds: pd.DataFrame) -> None:
    """Load the weights of the same fold of another run, after checking that it is the same fold."""
    if fold != ALL:
        theirs = pd.read_csv(source.folds_path, dtype={"id": str})
        if not _same_validation(theirs, folds, int(fold)):
            raise TrainingError(
                f"fold {fold} of {source.path} validates on other images than fold {fold} of {run.path}: starting "
                "from its weights would leak; make both runs with the same folds section"
            )
    source.fold(fold).weights_of("best")
    load_weights(network, source.fold(fold).checkpoint_path("best"))


def _same_validation(a: pd.DataFrame, b: pd.DataFrame, fold: int) -> bool:
    ids = [set(folds.loc[(folds["fold"] == fold) & (folds["split"] == "valid"), "id"]) for folds in (a, b)]
    return ids[0] == ids[1]


def _usable_batches(batches: int, accumulate: int) -> int:
    """Batches per epoch that make whole optimiser steps."""
    usable = batches - batches % accumulate
    if usable == 0:
        raise TrainingError(
            f"an epoch has {batches} batches but train.accumulate is {accumulate}: lower accumulate or batch_size"
        )
    return usable
