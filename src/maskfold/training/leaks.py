"""What a fold may learn from: nothing that has seen the images on which it is validated."""

from pathlib import Path

import pandas as pd

from maskfold.datasets import validates_alike
from maskfold.errors import TrainingError
from maskfold.runs import Run
from maskfold.runs.fold import ALL
from maskfold.runs.pseudo import PseudoFolder


def optimistic(run: Run, fold: int | str) -> bool:
    """Whether a fold learns, at first or second hand, from networks that saw its validation images.

    It does with pseudo-labels of the networks of all folds, and with teachers or first weights that did. Whoever shows
    its score says so: `maskfold.ensembling.finished.optimism`.
    """
    if fold == ALL:
        return False
    config = run.config
    former = [] if config.model.init_from is None else [config.model.init_from]
    former += [] if config.targets.teacher is None else config.targets.teacher.runs
    labels = [PseudoFolder(path).manifest().optimistic for path in config.data.extra]
    return any(labels) or any(Run.open(path).fold(fold).optimistic() for path in former)


def refuse_other_validation(folds: pd.DataFrame, place: Path, run: Run, fold: int | str, *, use: str) -> None:
    """A fold may learn from networks of the same fold only: those of others have seen its validation images.

    Args:
        folds: table of the folds of those networks.
        place: where they, or what they made, is found.
        run: that is being trained; of fold ``all``, which validates nothing, anything may be used.
        use: what would leak, such as "starting from its weights".

    Raises:
        TrainingError: the fold has other validation images there, or is not there.
    """
    if fold != ALL and not validates_alike(folds, run.folds(), int(fold)):
        raise TrainingError(
            f"fold {fold} of {place} validates on other images than fold {fold} of {run.path}: {use} would leak; make "
            "both runs with the same folds section"
        )
