"""What a fold may learn from: no network that was trained on the images on which the fold is validated."""

from collections.abc import Sequence
from pathlib import Path

from maskfold.datasets import trained_ids
from maskfold.errors import TrainingError
from maskfold.program import command_line
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
            f"there is no {source.folds_path}, so it is not known whether fold {theirs} was trained on images that "
            f"fold {fold} of {run.path} validates on: restore the file"
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


def refuse_unfit(source: Run, run: Run, fold: int | str, *, what: str, key: str, use: str) -> None:
    """Refuse a run from which a fold cannot learn: of another competition, itself, not trained, or one that would leak.

    Args:
        source: the run.
        run: that is being trained.
        fold: of it; the same fold of ``source`` is learned from.
        what: ``source`` is to ``run``, such as "the teacher".
        key: of the config that names it.
        use: what would leak, as for `refuse_leak`.

    Raises:
        TrainingError: why it is refused.
    """
    theirs, ours = source.config.competition, run.config.competition
    if (theirs.profile, theirs.class_names) != (ours.profile, ours.class_names):
        raise TrainingError(
            f"{what} {source.path} was trained on {theirs.profile}, {run.path} on {ours.profile}, or with other "
            f"class names: name a run of the same competition in {key}"
        )
    if source.path.resolve() == run.path.resolve():
        raise TrainingError(f"{key} names {run.path} itself: give the new run another --name")
    refuse_leak(source, str(fold), run, fold, use=use)
    if fold != ALL and not source.fold(fold).finished():
        first = command_line("train-fold", "--name", source.name, "--fold", str(fold))
        raise TrainingError(f"{what} {source.path} has no finished fold {fold}: train it first, {first}")


def learning_folds(sources: Sequence[Run], fold: int | str) -> Sequence[int | str] | None:
    """The folds of other runs from which a fold learns; None: all with which a run predicts."""
    if fold != ALL:
        return [fold]
    return [ALL] if all(source.fold(ALL).finished() for source in sources) else None
