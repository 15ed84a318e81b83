"""Which folds of a run are there to predict with; the folder alone answers, without torch."""

from maskfold.errors import InferenceError
from maskfold.program import command_line
from maskfold.runs.run import Run


def finished_folds(run: Run) -> list[int]:
    """Numbers of the finished folds.

    Raises:
        InferenceError: there is none.
    """
    folds = run.finished_folds()
    if not folds:
        first = command_line("train-fold", "--fold 0")
        raise InferenceError(f"{run.path} has no finished fold: run {first} first")
    return folds


def folds_of(run: Run) -> list[int | str]:
    """The folds that predict: all finished ones; ``all`` where it is the only one.

    Raises:
        InferenceError: nothing is trained to its end.
    """
    if not run.finished_folds() and run.fold("all").finished():
        return ["all"]
    return list(finished_folds(run))
