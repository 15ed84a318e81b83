"""A page about trainings that go on: how far they are, their curves and pictures. It reloads itself until they end."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from maskfold.files import write_file
from maskfold.picks import evenly_spaced
from maskfold.report.figures import further_charts, label_of, learning_charts
from maskfold.report.page import refuse_other_suffix, render_page
from maskfold.report.pictures import data_uri
from maskfold.runs import FoldFolder, Run
from maskfold.runs.fold import ALL
from maskfold.runs.history import FoldHistory, read_epochs

MOST_PICTURES = 12  # of a fold, spread over its epochs, the last one among them


@dataclass(frozen=True)
class Progress:
    """How far a fold is.

    Attributes:
        history: what it has logged so far.
        finished: whether it came to an end.
        pictures: epoch and data URI of its previews.
    """

    history: FoldHistory
    finished: bool
    pictures: list[tuple[int, str]]


def follow(runs: Sequence[Run], path: Path, every: float, sleep: Callable[[float], None]) -> None:
    """Write the page again and again until all folds that the runs train are finished.

    Args:
        runs: that are looked at.
        path: of the page, replaced as a whole each time.
        every: seconds between two pages, and after which an open page reloads itself.
        sleep: waits so many seconds.

    Raises:
        ReportError: another suffix than .html.
        RunError: damaged files.
    """
    refuse_other_suffix(path)
    while True:
        done = all(_done(run) for run in runs)
        page = live_page(runs, None if done else every)
        write_file(path, page)
        if done:
            return
        sleep(every)


def live_page(runs: Sequence[Run], every: float | None) -> str:
    """The page as the files are now; ``every``: seconds after which it reloads itself, None: never."""
    parts = []
    for run in runs:
        folds = [_progress(run.fold(name)) for name in _names(run)]
        begun = [fold.history for fold in folds if len(fold.history.epochs)]
        metric = next((label_of(fold.metric) for fold in begun), "score")
        charts, further = learning_charts(begun, metric, []), further_charts(begun, [])
        parts.append({"run": run, "folds": folds, "charts": charts, "further": further})
    return render_page(
        "live.html", script="live.js", title="Live: " + " + ".join(run.name for run in runs), parts=parts, every=every
    )


def _names(run: Run) -> list[str]:
    """The folds that have begun, by number, ``all`` last."""
    return sorted(run.begun_folds(), key=lambda name: (name == ALL, name.zfill(9)))


def _done(run: Run) -> bool:
    """Whether all folds that the run trains are finished, and none that was begun is not."""
    finished = {fold.name for fold in run.finished()}
    if not finished or finished < run.begun_folds():
        return False
    return ALL in finished or finished >= {str(fold) for fold in run.folds_to_train()}


def _progress(fold: FoldFolder) -> Progress:
    epochs, finished = read_epochs(fold), fold.finished()
    shown = evenly_spaced([*fold.previews().items()], MOST_PICTURES)
    pictures = [(epoch, data_uri(fold.storage.read(key), "jpeg")) for epoch, key in shown]
    return Progress(FoldHistory(fold.name, epochs, fold.summary() if finished else {}), finished, pictures)
