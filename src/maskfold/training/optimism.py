"""Whether a fold's score is out of fold in name only."""

from maskfold.runs import Run
from maskfold.runs.fold import ALL
from maskfold.runs.pseudo import PseudoFolder
from maskfold.training.start import learned_from


def optimistic(run: Run, fold: int | str) -> bool:
    """Whether a fold learns, at first or second hand, from networks that saw its validation images.

    It does with pseudo-labels of the networks of all folds, and with teachers, weights of images or first weights that
    did. Whoever shows its score says so: `maskfold.ensembling.finished.optimism`.
    """
    if fold == ALL:
        return False
    teacher = run.config.targets.teacher
    weights = run.config.data.weights
    others = [*(() if teacher is None else teacher.runs), *(() if weights is None else weights.runs)]
    former = [Run.open(path).fold(fold) for path in others]
    former += [] if (start := learned_from(run, fold)) is None else [start]
    labels = [PseudoFolder(path).manifest().optimistic for path in run.config.data.extra]
    return any(labels) or any(folder.optimistic() for folder in former)
