"""A competition's score with its uncertainty, from the statistics of every image."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from maskfold.errors import MaskfoldError, first_few
from maskfold.labels import MANY_CLASSES
from maskfold.metrics.bootstrap import Groups, bootstrap_interval, paired_bootstrap
from maskfold.metrics.competition import CompetitionMetric

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Evaluation:
    """Statistics of images, and what follows from them.

    Attributes:
        metric: the competition's metric.
        ids: of the images.
        stats: (n, k), a row of `gathered_stats` for each image.
        groups: of the images, where they are known: images of one scene, say. Intervals are then over groups.
        note: what must be said wherever the score is shown.
    """

    metric: CompetitionMetric
    ids: Sequence[str]
    stats: np.ndarray
    groups: Groups | None = None
    note: str = ""

    @property
    def score(self) -> float:
        """The competition's number; NaN where no image can be scored."""
        return float(self.metric.score(self.stats))

    @property
    def units(self) -> int:
        """What intervals are over: so many groups, or images where no groups are known."""
        return len(self.ids) if self.groups is None else len(set(self.groups))

    def interval(self) -> tuple[float, float]:
        """95 % bootstrap interval of the score, over images or over groups."""
        return bootstrap_interval(self.stats, self.metric.score, groups=self.groups)

    def per_image(self) -> "pd.DataFrame":
        """``id, score``, worst first."""
        import pandas as pd  # only the tables need it

        table = pd.DataFrame({"id": self.ids, "score": self.metric.per_image(self.stats)})
        return table.sort_values("score", kind="stable", ignore_index=True)

    def line(self) -> str:
        """The score in one line."""
        return self._figures() + self.note

    def _figures(self) -> str:
        units = "images" if self.groups is None else "groups"
        if np.isnan(self.score):
            return f"{self.metric.name} cannot be computed: no pixel of the {len(self.ids)} images counts"
        if self.units < 2:
            return f"{self.metric.name} {self.score:.4f} (no interval: there is one of the {units} only)"
        low, high = self.interval()
        return f"{self.metric.name} {self.score:.4f} (95 % of bootstraps over {units}: {low:.4f} to {high:.4f})"

    def class_lines(self) -> str:
        """The score of each class, worst first, one to a line; nothing where the metric has one class only.

        Of more than `MANY_CLASSES` the ends of the list, the median, and the classes without a score.
        """
        scores = self.metric.per_class(self.stats)
        order = np.argsort(np.nan_to_num(scores, nan=-1), kind="stable")
        names = self.metric.class_names
        if len(names) <= MANY_CLASSES:
            return "".join(f"\n  {names[place]:20} {scores[place]:.4f}" for place in order)
        scored = [place for place in order if not np.isnan(scores[place])]
        without = [names[place] for place in order if np.isnan(scores[place])]
        worst, best = (", ".join(f"{names[place]} {scores[place]:.4f}" for place in some) for some in _ends(scored))
        lines = {
            f"worst of {len(scored)} classes": worst,
            "median class": f"{np.nanmedian(scores):.4f}" if scored else "",
            "best": best,
            f"{len(without)} neither labelled nor predicted": first_few(without),
        }
        return "".join(f"\n  {what}: {text}" for what, text in lines.items() if text)

    def against(self, other: "Evaluation") -> str:
        """One line: by how much this is better than ``other`` on the same images, and how sure that is.

        Raises:
            MaskfoldError: they cover different images.
        """
        if list(self.ids) != list(other.ids):
            raise MaskfoldError(
                "the two evaluations cover different images: only scores of the same images can be compared"
            )
        result = paired_bootstrap(self.stats, other.stats, self.metric.score, groups=self.groups)
        if np.isnan(result.low):
            return f"difference {result.difference:+.4f} (no interval: one image or group tells nothing about others)"
        return (
            f"difference {result.difference:+.4f} (95 % of paired bootstraps: {result.low:+.4f} to "
            f"{result.high:+.4f}); better in {result.share_better:.0%} of them"
        )


def _ends(order: Sequence[int], most: int = 8) -> tuple[Sequence[int], Sequence[int]]:
    """The first of a list, and the last of the others, backwards."""
    return order[:most], order[most:][::-1][:most]
