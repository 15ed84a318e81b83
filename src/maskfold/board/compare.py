"""Scores with their intervals, and differences from a reference, of all runs at once."""

import json
from collections import defaultdict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from maskfold.board.entry import Entry
from maskfold.errors import MaskfoldError
from maskfold.metrics import CompetitionMetric, build_metric, resampled_scores
from maskfold.metrics.bootstrap import percentiles
from maskfold.runs.statistics import FoldStatistics


def score_entries(entries: Sequence[Entry]) -> None:
    """Put the score and its interval on every entry with statistics."""
    for metric, alike in _alike(entries, lambda entry: _statistics(entry)):
        drawn = _drawn(metric, [_statistics(entry) for entry in alike])
        for entry, scores in zip(alike, drawn, strict=True):
            entry.score = _number(metric.score(_statistics(entry).stats))
            entry.low, entry.high = map(_number, percentiles(scores))


def compare_entries(entries: Sequence[Entry], reference: Entry) -> None:
    """Put the paired difference from ``reference`` on every other entry, on the images that both have scored.

    There is none where the two have another metric or other classes, or no image in common.
    """
    base = reference.statistics
    if base is None:
        return
    others = [entry for entry in entries if entry is not reference and _comparable(entry, base)]
    for metric, alike in _alike(others, lambda entry: _common(_statistics(entry), base)):
        pairs = [_common(_statistics(entry), base) for entry in alike]
        own = _common(base, pairs[0])
        drawn = _drawn(metric, [own, *pairs])
        at_base = metric.score(own.stats)
        for entry, pair, scores in zip(alike, pairs, drawn[1:], strict=True):
            entry.difference = _number(metric.score(pair.stats) - at_base)
            entry.difference_low, entry.difference_high = map(_number, percentiles(scores - drawn[0]))
            entry.common, entry.units = len(pair.ids), len(set(pair.groups or pair.ids))


def _alike(
    entries: Sequence[Entry], images: Callable[[Entry], FoldStatistics]
) -> list[tuple[CompetitionMetric, list[Entry]]]:
    """Entries that are scored alike on the same images, together: they share resamples."""
    found: dict[Hashable, list[Entry]] = defaultdict(list)
    for entry in entries:
        if entry.statistics is not None:
            chosen = images(entry)
            groups = None if chosen.groups is None else tuple(chosen.groups)
            found[*_measure(chosen), tuple(chosen.ids), groups].append(entry)
    together = []
    for alike in found.values():
        first = _statistics(alike[0])
        try:
            together.append((build_metric(first.metric, first.labels, first.options), alike))
        except MaskfoldError as error:  # somebody's own, whose module is not here
            for entry in alike:
                entry.problem = str(error)
    return together


def _drawn(metric: CompetitionMetric, parts: Sequence[FoldStatistics]) -> np.ndarray:
    return resampled_scores(metric, [part.stats for part in parts], groups=parts[0].groups)


def _comparable(entry: Entry, base: FoldStatistics) -> bool:
    own = entry.statistics
    if own is None or _measure(own) != _measure(base):
        return False
    return not set(own.ids).isdisjoint(base.ids)


def _measure(statistics: FoldStatistics) -> tuple[Hashable, ...]:
    """What the statistics are of: equal where scores can be compared."""
    return statistics.metric, json.dumps(statistics.options, sort_keys=True), statistics.labels


def _common(own: FoldStatistics, other: FoldStatistics) -> FoldStatistics:
    """The rows of ``own`` whose images ``other`` has too, in the order of their ids."""
    if own.ids == other.ids:
        return own
    rows = np.flatnonzero(np.isin(np.array(own.ids, str), np.array(other.ids, str))).tolist()
    groups = None if own.groups is None else [own.groups[row] for row in rows]
    return replace(own, ids=[own.ids[row] for row in rows], stats=own.stats[rows], groups=groups)


def _statistics(entry: Entry) -> FoldStatistics:
    assert entry.statistics is not None  # only such entries are scored and compared
    return entry.statistics


def _number(value: Any) -> float | None:
    return None if np.isnan(value) else float(value)
