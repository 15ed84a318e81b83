"""Which folds of a run are there to predict with; the folder alone answers, without torch."""

from collections.abc import Sequence

from maskfold.errors import FoldsError, InferenceError, first_few, repeated
from maskfold.program import command_line
from maskfold.runs.run import Run

OPTIMISTIC = " (optimistic: learned from networks that saw the validation images)"


def optimism(runs: Sequence[Run]) -> str:
    """What must stand behind an out-of-fold score of these runs: nothing, or `OPTIMISTIC`."""
    found = any(run.fold(fold).optimistic() for run in runs for fold in run.finished_folds())
    return OPTIMISTIC if found else ""


def finished_folds(run: Run) -> list[int]:
    """Numbers of the finished folds.

    Raises:
        InferenceError: there is none.
    """
    folds = run.finished_folds()
    if not folds:
        first = command_line("train-fold", "--fold", "0")
        raise InferenceError(f"{run.path} has no finished fold: run {first} first")
    return folds


def refuse_repeated_folds(folds: Sequence[int | str]) -> None:
    """Refuse folds of which one is named twice: two trainings would write one folder, its networks would count double.

    Raises:
        FoldsError: it is.
    """
    if twice := repeated(list(map(str, folds))):
        raise FoldsError(f"folds are {', '.join(map(str, folds))}: name {first_few(twice)} once")


def folds_of(run: Run, asked: Sequence[int | str] | None = None) -> list[int | str]:
    """The folds that predict: those ``asked`` for, else all finished ones; ``all`` where it is the only one.

    Raises:
        InferenceError: nothing is trained to its end.
        FoldsError: as `refuse_repeated_folds`.
    """
    if asked:
        refuse_repeated_folds(asked)
        return list(asked)
    if not run.finished_folds() and run.fold("all").finished():
        return ["all"]
    return list(finished_folds(run))


def weight_hashes(run: Run, checkpoint: str, folds: Sequence[int | str] | None) -> dict[str, str | None]:
    """File of weights -> its SHA-256, of folds (`None`: those that predict) of a run that predict as ``checkpoint``."""
    used = map(run.fold, folds_of(run) if folds is None else folds)
    return {str(fold.checkpoint_path(name)): fold.digest(name) for fold in used for name in fold.weights_of(checkpoint)}
