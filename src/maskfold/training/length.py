"""How long a training is, in batches, optimiser steps and epochs, and the learning rate over it."""

from collections.abc import Callable
from dataclasses import dataclass

from maskfold.config import Config
from maskfold.errors import TrainingError
from maskfold.schedule import cycle_ends, lr_schedule


@dataclass(frozen=True)
class Length:
    """Counted for one number of processes: more of them make fewer batches and steps per epoch.

    Attributes:
        batches_per_epoch: of one process; those beyond the last whole optimiser step are left out.
        steps_per_epoch, steps: of the optimiser, per epoch and in all.
        epochs: the last one may be cut short by ``train.iterations``.
        cycle_ends: epochs, from 1, at whose end a cycle of the learning rate ends.
        lr_factor: factor on the peak rate at a step counted from 0.
    """

    batches_per_epoch: int
    steps_per_epoch: int
    epochs: int
    steps: int
    cycle_ends: list[int]
    lr_factor: Callable[[int], float]

    @classmethod
    def of(cls, config: Config, *, batches: int) -> "Length":
        """The length of a training with so many batches per epoch and process.

        Raises:
            TrainingError: fewer batches than an optimiser step needs, more cycles than epochs.
        """
        train, schedule = config.train, config.schedule
        usable = batches - batches % train.accumulate
        if usable == 0:
            raise TrainingError(
                f"an epoch has {batches} batches but train.accumulate is {train.accumulate}: lower accumulate or "
                "batch_size"
            )
        per_epoch = usable // train.accumulate
        if train.iterations is not None:
            epochs, steps = -(-train.iterations // per_epoch), train.iterations
        else:
            assert train.epochs is not None  # the config has one of the two
            epochs, steps = train.epochs, train.epochs * per_epoch
        if schedule.cycles > epochs:
            raise TrainingError(
                f"schedule.cycles is {schedule.cycles} but train.iterations {steps} are {epochs} epochs: a cycle "
                "needs at least one epoch"
            )
        ends = cycle_ends(epochs, schedule.cycles)
        lr_factor = lr_schedule(
            schedule.name,
            ends=[min(epoch * per_epoch, steps) for epoch in ends],
            warmup=schedule.warmup,
            final_factor=schedule.final_factor,
        )
        return cls(usable, per_epoch, epochs, steps, ends, lr_factor)

    @property
    def whole_epochs(self) -> float:
        """The epochs, of which the last one counts by its steps."""
        return self.steps / self.steps_per_epoch

    def steps_until(self, epoch: int) -> int:
        """Optimiser steps of the first ``epoch`` epochs."""
        return min(epoch * self.steps_per_epoch, self.steps)
