"""Choosing one thing after the other, with every choice cross-fitted.

The images are split into parts. For each part the whole walk over the choices is done on the images of the other
parts, so that nothing of the part has influenced the setting under which its images are scored. One more walk, on all
images, gives what is written down. A choice whose cross-fitted gain a trial refuses is taken back in all walks.
"""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Generic, Protocol, TypeVar

import numpy as np

from maskfold.ensembling.choice import Refused
from maskfold.metrics.bootstrap import Score

Held = Hashable | None
"""The part that is held out of a walk; `None`: none is."""
Chosen = TypeVar("Chosen")
LookedAt = TypeVar("LookedAt", contravariant=True)
# `maskfold.ensembling.traps.Trial`: of the name of a choice, and the statistics before it and after it.
Trial = Callable[[str, np.ndarray, np.ndarray], Refused | None]


@dataclass(frozen=True)
class Coordinate(Generic[Chosen]):
    """One choice of the walk.

    Attributes:
        name: what is chosen.
        options: (what is chosen so far, the part that is held out) -> what can be chosen now.
        ordered: whether the options have an order in which neighbours are alike, as thresholds have.
    """

    name: str
    options: Callable[[Chosen, Held], Sequence[Chosen]]
    ordered: bool = False


@dataclass(frozen=True)
class Walked(Generic[Chosen]):
    """What was chosen: on all images, and for each part on the others; and what a trial refused."""

    chosen: Chosen
    of_part: dict[Held, Chosen]
    refused: tuple[Refused, ...] = ()

    def changed(self, change: Callable[[Chosen], Chosen]) -> "Walked[Chosen]":
        """The same with ``change`` of every setting."""
        of_part = {part: change(chosen) for part, chosen in self.of_part.items()}
        return Walked(change(self.chosen), of_part, self.refused)


class Statistics(Protocol[LookedAt]):
    """What the walk asks of `maskfold.ensembling.settings.Scorer`."""

    def look(self, settings: Sequence[LookedAt], what: str) -> None:
        """Prepare the statistics of several settings in one pass over the images."""

    def stats(self, setting: LookedAt) -> np.ndarray:
        """Statistics (n, k) of a setting, a row per image."""
        ...


def walk(
    start: Chosen | Walked[Chosen],
    coordinates: Sequence[Coordinate[Chosen]],
    parts: np.ndarray,
    statistics: Statistics[Chosen],
    score: Score,
    trial: Trial | None = None,
) -> Walked[Chosen]:
    """Choose one coordinate after the other, the earlier choices fixed: without each part, and on all images.

    Args:
        start: what is chosen before the first one, or an earlier walk that is continued. It is kept where nothing
            scores higher.
        coordinates: in order.
        parts: (n,) part of each image.
        statistics: of settings on the images.
        score: (n, k) -> a number; NaN where no image can be scored.
        trial: (name, statistics before a choice, and after it, cross-fitted) -> why it is refused; None: all are kept.
    """
    refused = list(start.refused) if isinstance(start, Walked) else []
    chosen: dict[Held, Chosen] = (
        {None: start.chosen, **start.of_part}
        if isinstance(start, Walked)
        else dict.fromkeys([None, *np.unique(parts).tolist()], start)
    )
    for coordinate in coordinates:
        options = {held: list(coordinate.options(now, held)) for held, now in chosen.items()}
        everything = [*chosen.values(), *(option for without in options.values() for option in without)]
        statistics.look(everything, coordinate.name)
        before = dict(chosen)
        for held, now in before.items():
            used = np.ones(len(parts), bool) if held is None else parts != held
            scores = [_score(statistics.stats(option)[used], score) for option in options[held]]
            own = _score(statistics.stats(now)[used], score)
            chosen[held] = _best(now, own, options[held], scores, coordinate.ordered)
        if trial is not None and chosen != before:
            rows = (cross_fitted(_walked(each), parts, statistics) for each in (before, chosen))
            if (reason := trial(coordinate.name, *rows)) is not None:
                refused += [reason] if chosen[None] != before[None] else []
                chosen = before
    return replace(_walked(chosen), refused=tuple(refused))


def _walked(chosen: dict[Held, Chosen]) -> Walked[Chosen]:
    return Walked(chosen[None], {part: setting for part, setting in chosen.items() if part is not None})


def cross_fitted(walked: Walked[Chosen], parts: np.ndarray, statistics: Statistics[Chosen]) -> np.ndarray:
    """Statistics (n, k) of all images, each under what was chosen without its part."""
    rows = statistics.stats(walked.chosen).copy()
    for part, setting in walked.of_part.items():
        rows[parts == part] = statistics.stats(setting)[parts == part]
    return rows


def middle(scores: Sequence[float]) -> int:
    """Place of the highest score; of several equal ones the middle of the longest row of neighbours.

    Of two rows of one length it is the first, of two places in the middle the lower one.
    """
    best = max(scores)
    rows: list[list[int]] = []
    for place in (place for place, score in enumerate(scores) if score == best):
        if rows and rows[-1][-1] == place - 1:
            rows[-1].append(place)
        else:
            rows.append([place])
    longest = max(rows, key=len)
    return longest[(len(longest) - 1) // 2]


def _score(stats: np.ndarray, score: Score) -> float:
    """Lowest of all where nothing can be scored, so that nothing is chosen for it."""
    found = float(score(stats)) if len(stats) else float("nan")
    return -np.inf if np.isnan(found) else found


def _best(now: Chosen, own: float, options: Sequence[Chosen], scores: Sequence[float], ordered: bool) -> Chosen:
    if not options or max(scores) <= own:
        return now
    return options[middle(scores) if ordered else int(np.argmax(scores))]
