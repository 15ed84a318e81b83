"""What a fold may learn from: no network that was trained on the images on which the fold is validated."""

from pathlib import Path

from maskfold.datasets import trained_ids
from maskfold.errors import TrainingError
from maskfold.runs import Run
from maskfold.runs.fold import ALL


def refuse_leak(source: Run, theirs: str, run: Run, fold: int | str, *, use: str) -> None:
    """Refuse networks of another run that saw validation images of a fold.

    Args:
        source: the other run.
        theirs: its fold, a number or ``all``.
        run: that is being trained.
        fold: of it; ``all`` validates nothing, and so may use anything.
        use: what would leak, such as "starting from its weights".

    Raises:
        TrainingError: they did, or the other run's ``folds.csv`` is not there to tell.
    """
    if fold == ALL:
        return
    try:
        content = source.storage.read(source.folds_path.name)
    except FileNotFoundError:
        raise TrainingError(
            f"there is no {source.folds_path}, so nobody knows whether fold {theirs} was trained on images that fold "
            f"{fold} of {run.path} validates on: bring the file"
        ) from None
    refuse_trained(content, source.folds_path, theirs, run, fold, use=use)


def refuse_trained(content: bytes, path: Path, theirs: str, run: Run, fold: int | str, *, use: str) -> None:
    """The same of the content of a ``folds.csv`` that is found at ``path``."""
    if fold == ALL:
        return
    leaked = sorted(trained_ids(content, path, theirs) & set(run.fold_samples(fold)[2].ids))
    if leaked:
        raise TrainingError(
            f"fold {theirs} of {path.parent} was trained on {len(leaked)} images that fold {fold} of {run.path} "
            f"validates on ({leaked[0]} …): {use} would leak; make both runs with the same folds section, and let each "
            "fold learn from the same fold"
        )
