"""How long a network trains within some seconds, measured in this process before its first fold."""

from dataclasses import dataclass

from maskfold.autopilot.budget import Needs
from maskfold.config import Config
from maskfold.planning.costs import tuning_seconds
from maskfold.steps.settle import settle, trial_run
from maskfold.training.forecast import Pace, Work, pixels
from maskfold.training.hours import iterations_within, of_length
from maskfold.training.trial import Trial

SHORTEST = 10  # steps


@dataclass(frozen=True)
class Timed:
    """A config that was measured.

    Attributes:
        config: with the batches that were found.
        work, pace: of its first fold.
        map_pixels: of an image's out-of-fold maps.
    """

    config: Config
    work: Work
    pace: Pace
    map_pixels: float

    def needs(self, command: float, folds: int) -> Needs:
        """What the steps after training take."""
        work, pace = self.work, self.pace
        return Needs(
            command=command,
            end=work.end(pace),
            tune=tuning_seconds(folds, work.valid_images, self.map_pixels),
            predict=work.test_images * pace.plain,
            folds=folds,
            views=work.views,
        )

    def fold(self, steps: int) -> float:
        """Seconds of a fold of so many steps."""
        return of_length(self.work, steps, self.pace).fold

    def steps(self, seconds: float, folds: int, command: float) -> tuple[int, int]:
        """Folds and optimiser steps that fit: fewer folds where not all do, one of a few steps at the least."""
        for count in range(folds, 0, -1):
            if found := iterations_within(seconds / count - command, self.work, self.pace):
                return count, found
        return 1, SHORTEST

    def steps_of(self, epochs: int) -> int:
        """Steps of so many epochs."""
        return epochs * max(1, self.work.batches_per_epoch // self.config.train.accumulate)


def timed(config: Config, *, longest: float) -> Timed:
    """Measure a config; each of the three measurements takes ``longest`` seconds at most, after warming up.

    Raises:
        MaskfoldError: what keeps a training from starting.
    """
    config = settle(config)
    with trial_run(config) as run, Trial(run, longest=longest) as trial:
        work, pace = trial.timed()
        competition = trial.session.competition
        valid = competition.samples("train").select(trial.session.data.valid_ids)
        mean = pixels(competition, valid) / max(1, len(valid))
    return Timed(config, work, pace, mean)
