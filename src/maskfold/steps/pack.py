"""Finished runs as one folder or archive that predicts elsewhere."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from maskfold.ensembling.finished import folds_of
from maskfold.packing.card import model_card, own_modules
from maskfold.packing.write import check_out, write_pack
from maskfold.runs import Run
from maskfold.scoring.evaluate import evaluate_oof
from maskfold.steps.choose import choose
from maskfold.steps.places import pack_path
from maskfold.steps.together import open_together


def pack(
    runs: Run | Sequence[Run],
    out: Path | None = None,
    *,
    folds: Sequence[int | str] | None = None,
    untuned: bool = False,
    overrides: Mapping[str, Any] | None = None,
    overwrite: bool = False,
) -> Path:
    """Write all that `maskfold.predict` would use, and a model card, as a folder or (``.zip``) an archive.

    The pack holds weights (safetensors), resolved configs, the tuned choice and the profile; no training state and no
    path of this machine. ``predict --pack`` makes the same submission of it, byte for byte.

    Args:
        runs: one run, or several that were tuned together.
        out: folder or ``.zip`` to write; None: ``packs/RUN``.
        folds: whose networks predict; None: all that are trained.
        untuned: leave the tuned ensemble aside.
        overrides: dotted keys of the first run's config, such as ``{"tta.views": "d4"}``.
        overwrite: replace ``out`` if it is a pack.

    Returns:
        The pack's path.

    Raises:
        PackError: ``out`` exists, or a config names a path of this machine.
        MaskfoldError: as `maskfold.predict`.
    """
    path = pack_path(runs, out)
    check_out(path, overwrite=overwrite)
    runs, config, competition = open_together(runs, overrides)
    choice = choose(runs, config, set(overrides or {}), untuned=untuned)
    used = [folds_of(run, folds) for run in runs]
    numbers = {int(fold) for fold in used[0] if str(fold) != "all"}
    evaluation = None
    if numbers:
        evaluation = evaluate_oof(choice, competition, folds=numbers, batch_size=config.inference.batch_size)
        print(f"Out of fold: {evaluation.line()}")
    if modules := own_modules(runs, competition):
        print(f"Note: not in the pack, and needed where it predicts: {', '.join(modules)}.")
    write_pack(choice, runs, used, competition, model_card(choice, runs, used, competition, evaluation), path)
    print(f"Pack: {path} ({_megabytes(path):.1f} MB); the licence in its README.md is left to fill in")
    return path


def _megabytes(path: Path) -> float:
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    return sum(file.stat().st_size for file in files) / 1e6
