"""What a fold's training was begun with, the folds and the config, and whether they are the same now."""

import hashlib
from pathlib import Path
from typing import Any

from maskfold.errors import FoldsError, RunError
from maskfold.runs.fold import FoldFolder
from maskfold.runs.manifest import AGAIN


def facts(folds: bytes, config: dict[str, Any]) -> dict[str, Any]:
    """What a manifest binds: of the content of ``folds.csv``, and of dotted keys of the config and their values."""
    return {"folds": hashlib.sha256(folds).hexdigest(), "config": config}


def refuse_changed(fold: FoldFolder, now: dict[str, Any], folds_path: Path, config_path: Path) -> None:
    """Refuse a fold that was begun with others than `facts` are now; one that was not begun is none.

    Raises:
        FoldsError: ``folds.csv`` was changed.
        RunError: ``config.yaml`` was.
    """
    begun = fold.manifest.bound()
    if begun.get("folds", now["folds"]) != now["folds"]:
        raise FoldsError(f"{folds_path} is not the one that fold {fold.name} was trained with: restore it, or {AGAIN}")
    before, after = begun.get("config", {}), now["config"]
    # Keys that one side does not know are of another version of maskfold.
    changed = [key for key in before if key in after and before[key] != after[key]]
    if changed:
        raise RunError(
            f"{config_path} is not what fold {fold.name} was trained with: {changed[0]} was {before[changed[0]]} and "
            f"is {after[changed[0]]}; restore it, or {AGAIN}"
        )
