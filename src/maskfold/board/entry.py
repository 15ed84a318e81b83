"""What the files of one run tell, without its competition and without torch."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from maskfold.board.parents import Parent
from maskfold.config import Config
from maskfold.ensembling.choice import read_ensemble
from maskfold.ensembling.finished import OPTIMISTIC
from maskfold.errors import MaskfoldError
from maskfold.runs.fold import ALL
from maskfold.runs.run import Run
from maskfold.runs.statistics import FoldStatistics, read_statistics


@dataclass
class Entry:
    """One run. A number is None, and ``device`` empty, where it is not known.

    Attributes:
        name: of the run, unless ``path`` is asked for.
        path: where it is.
        config: as it was trained; None where its file cannot be read.
        parent: the config it came from, and what it changed.
        statistics: of all finished folds; an image that several of them validate counts as the first one sees it.
        score: out of fold, of the config's own checkpoint, at threshold 0.5 or by the most probable class, no views.
        low, high: 95 % bootstrap interval of it.
        images: how many it is of.
        difference, difference_low, difference_high: from the reference, on the ``common`` images, paired.
        units: images, or groups of them, that this interval is over.
        tuned: cross-fitted score of what tuning chose.
        leaderboard: highest score that was noted for a submission of this run alone.
        finished, begun: folds, ``all`` among them.
        planned: number of folds.
        hours: of training, of all finished folds, times the processes of each.
        ended: when the last finished fold ended, ISO 8601.
        size: bytes on disk.
        optimistic: whether it learned from networks that saw its validation images.
        problem: why some of this is not known.
    """

    name: str
    path: str
    config: Config | None = None
    parent: Parent | None = None
    statistics: FoldStatistics | None = None
    score: float | None = None
    low: float | None = None
    high: float | None = None
    images: int | None = None
    difference: float | None = None
    difference_low: float | None = None
    difference_high: float | None = None
    common: int | None = None
    units: int | None = None
    tuned: float | None = None
    leaderboard: float | None = None
    finished: list[str] = field(default_factory=list)
    begun: list[str] = field(default_factory=list)
    planned: int | None = None
    hours: float | None = None
    device: str = ""
    ended: str = ""
    size: int = 0
    optimistic: bool = False
    problem: str = ""

    @property
    def note(self) -> str:
        """What must stand behind the score."""
        return OPTIMISTIC if self.optimistic else ""


def read_entry(run: Run) -> Entry:
    """What a run's own files tell; ``problem`` says what they do not."""
    entry = Entry(run.name, str(run.path), size=run.storage.size())
    try:
        entry.config = run.config
        entry.begun = sorted(run.begun_folds())
        _read_folds(run, entry)
        if run.storage.exists(run.ensemble_path.name):
            entry.tuned = read_ensemble(run.ensemble_path).score
    except (MaskfoldError, OSError) as error:  # it may be removed, or trained anew, while it is read
        entry.problem = str(error)
    return entry


def _read_folds(run: Run, entry: Entry) -> None:
    folds = run.finished()
    entry.planned = len(run.fold_numbers())
    summaries = {fold.name: fold.summary() for fold in folds}
    entry.finished = list(summaries)
    entry.optimistic = any(bool(summary.get("optimistic")) for summary in summaries.values())
    seconds = [s["seconds"] * s.get("processes", 1) if "seconds" in s else None for s in summaries.values()]
    entry.hours = sum(filter(None, seconds)) / 3600 if seconds and None not in seconds else None
    entry.device = ", ".join(dict.fromkeys(s["device"] for s in summaries.values() if "device" in s))
    entry.ended = max((s.get("ended", "") for s in summaries.values()), default="")
    checkpoint = run.config.inference.checkpoint
    validated = [fold for fold in folds if fold.name != ALL]
    found = [read_statistics(fold, checkpoint) for fold in validated]
    if found and None not in found:
        entry.statistics = joined([part for part in found if part is not None])
        entry.images = len(entry.statistics.ids)
    scored = [summaries[fold.name] for fold in validated]
    if entry.statistics is None and scored:
        entry.score, entry.images = _stored_score(scored, checkpoint)


def joined(parts: Sequence[FoldStatistics]) -> FoldStatistics:
    """The statistics of several folds as one, sorted by id."""
    ids = np.concatenate([np.array(part.ids, str) for part in parts])
    stats = np.concatenate([part.stats for part in parts])
    known, first = np.unique(ids, return_index=True)
    groups = None
    if all(part.groups is not None for part in parts):
        groups = np.concatenate([np.array(part.groups, str) for part in parts])[first].tolist()
    return replace(parts[0], ids=known.tolist(), stats=stats[first], groups=groups)


def _stored_score(summaries: Sequence[dict], checkpoint: str) -> tuple[float | None, int | None]:
    """The mean over folds, weighted by their images, of what training reported, and the number of images.

    Of a score that is a mean over images this is the score of all of them.
    """
    scores = np.array([summary.get("candidates", {}).get(checkpoint, np.nan) for summary in summaries], float)
    counts = [summary["valid_images"] for summary in summaries if "valid_images" in summary]
    if np.isnan(scores).any():
        return None, None
    if len(counts) < len(scores):
        return float(scores.mean()), None
    return float(np.average(scores, weights=counts)), int(sum(counts))
