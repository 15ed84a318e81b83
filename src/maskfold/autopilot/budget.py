"""How the time that is left is shared out among the steps to come. All in seconds."""

from dataclasses import dataclass, replace

CAUTION = 2.0  # what follows the training may take so much longer than it was estimated to
RUNG = 0.15  # of the hours that a rung of the ladder needs at least


@dataclass(frozen=True)
class Needs:
    """What the steps after training are estimated to take.

    Attributes:
        command: until any command works.
        end: of a fold: scores and out-of-fold maps after its last epoch.
        tune: choosing, of all folds.
        predict: the test images by one fold, with one view.
        folds, views: of the plan.
    """

    command: float
    end: float
    tune: float
    predict: float
    folds: int
    views: int

    def prediction(self, folds: int, views: int) -> float:
        """The command that predicts."""
        return CAUTION * (self.command + self.predict * folds * views)

    def predicting(self) -> float:
        """The command that predicts, and a second one with one fold and no views, where the first one fails."""
        return self.prediction(self.folds, self.views) + self.prediction(1, 1)

    def ending(self) -> float:
        """What a fold's training does after its last epoch, where a command has to be started for it."""
        return CAUTION * (self.command + self.end)

    def tuning(self) -> float:
        """The command that tunes."""
        return CAUTION * (self.command + self.tune)

    def after(self) -> float:
        """All that follows the training."""
        return self.tuning() + self.predicting() + self.command

    def beside(self, other: "Needs") -> "Needs":
        """What this network and another one need together, once both are trained."""
        return replace(self, tune=self.tune + other.tune, predict=self.predict + other.predict)


def for_training(left: float, needs: Needs) -> float:
    """Seconds of those that are left for the commands that train, so that everything after them has its time.

    Short of time, tuning and then views are given up, but never more than half of what is left is kept for them.
    """
    return max(left - needs.after(), left / 2)


def prediction_options(left: float, needs: Needs, cheapest: list[str]) -> list[str]:
    """Options of the command that predicts, by what it may take: all, without views, one fold without views.

    Args:
        left: seconds that it has, those of a second attempt not among them.
        needs: of the network.
        cheapest: `cheapest_options`, where nothing else fits.
    """
    if needs.prediction(needs.folds, needs.views) <= left:
        return []
    if needs.prediction(needs.folds, 1) <= left:
        return ["--tta.views", "none"]
    return cheapest


def cheapest_options(fold: int) -> list[str]:
    """Those of the shortest prediction there is."""
    return ["--folds", str(fold), "--tta.views", "none"]
