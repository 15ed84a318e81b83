"""What a fold may learn from: nothing that has seen the images on which it is validated."""

from pathlib import Path

import pandas as pd

from maskfold.datasets import validates_alike
from maskfold.errors import TrainingError
from maskfold.runs import Run
from maskfold.runs.fold import ALL


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
