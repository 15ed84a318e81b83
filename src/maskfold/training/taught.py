"""What a fold learns from beside the competition's masks: predictions of other runs, which must stay the same."""

import hashlib
from typing import Any

from maskfold.errors import RunError
from maskfold.runs import Run
from maskfold.runs.documents import read_json, to_json
from maskfold.runs.manifest import AGAIN
from maskfold.runs.pseudo import PseudoFolder
from maskfold.training.weights import FILE


def taught_by(run: Run, fold: int | str) -> dict[str, str]:
    """What a fold is taught by -> a digest of it, another one once it was made anew with another content.

    Pseudo-labels, teachers' maps and the agreement of image weights are there already. Where their folders are makes no
    difference.
    """
    config, found = run.config, {}
    for number, path in enumerate(config.data.extra):
        labels = PseudoFolder(path).manifest()
        found[f"data.extra, number {number + 1}"] = _digest(labels.model_dump(mode="json", exclude={"images"}))
    if config.targets.teacher is not None:
        found["targets.teacher"] = _digest(run.fold(fold).teacher().made_with())
    if config.data.weights is not None:
        agreement = read_json(run.storage, run.fold(fold).key(FILE), advice=AGAIN)
        found["data.weights"] = _digest(agreement and agreement["made_with"])
    return found


def refuse_other_teaching(name: str, before: dict[str, str], now: dict[str, str]) -> None:
    """Refuse a training that would go on with other predictions than it was begun with.

    Args:
        name: of the fold.
        before: `taught_by` when the state was stored; empty where that was not noted.
        now: the same of today.

    Raises:
        RunError: one of them is another.
    """
    if changed := [key for key, digest in now.items() if before.get(key, digest) != digest]:
        raise RunError(
            f"fold {name} was begun with other predictions of the runs of {changed[0]} than there are now: restore "
            f"these, or {AGAIN}"
        )


def _digest(content: Any) -> str:
    return hashlib.sha256(to_json(content)).hexdigest()
