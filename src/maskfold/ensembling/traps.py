"""What tuning refuses: a choice whose gain is chance, or one fold's alone.

A winner of one split is easily found: dilating every mask, or moving its edges, may gain on the images of the public
board and lose on all others. So a choice has to gain more than the standard error of its gain, by images or groups of
images that are drawn with replacement (the rule of one standard error: Breiman, Friedman, Olshen & Stone,
Classification and Regression Trees, 1984, section 3.4.3), and has to gain on the other folds, too, without the one on
which it gains most. Both are cross-fitted: every image is scored under what was chosen without its fold.
"""

from dataclasses import dataclass

import numpy as np

from maskfold.ensembling.choice import Refused
from maskfold.metrics import CompetitionMetric
from maskfold.metrics.bootstrap import Groups
from maskfold.metrics.resamples import resampled_scores


@dataclass(frozen=True)
class Trial:
    """Looks at the cross-fitted gain of one choice.

    Attributes:
        metric: the competition's.
        parts: (n,) part, as a rule fold, of each image.
        groups: of the images, where they are known.
    """

    metric: CompetitionMetric
    parts: np.ndarray
    groups: Groups | None = None

    def __call__(self, name: str, before: np.ndarray, after: np.ndarray) -> Refused | None:
        """Why a choice is refused; None: it is not.

        Args:
            name: what is chosen.
            before: statistics (n, k) of the images without it.
            after: with it, cross-fitted.
        """
        gain = self._gain(before, after, np.ones(len(self.parts), bool))
        error = self.standard_error(before, after)
        others = self._without_the_best(before, after)
        if gain > error and (np.isnan(others) or others > 0):
            return None
        return Refused(name=name, gain=gain, error=error, others=None if np.isnan(others) else others)

    def standard_error(self, before: np.ndarray, after: np.ndarray) -> float:
        """Of the gain, over images or groups drawn with replacement; NaN where there is one of them only."""
        first, second = resampled_scores(self.metric, [before, after], groups=self.groups)
        drawn = (second - first)[~np.isnan(second - first)]
        return float(drawn.std()) if len(drawn) else float("nan")

    def _gain(self, before: np.ndarray, after: np.ndarray, used: np.ndarray) -> float:
        return float(self.metric.score(after[used]) - self.metric.score(before[used]))

    def _without_the_best(self, before: np.ndarray, after: np.ndarray) -> float:
        """The gain on all images but those of the part that gains most; NaN: there is one part."""
        places = [self.parts == part for part in np.unique(self.parts)]
        if len(places) < 2:
            return float("nan")
        gains = [np.nan_to_num(self._gain(before, after, own), nan=-np.inf) for own in places]
        return self._gain(before, after, ~places[int(np.argmax(gains))])
